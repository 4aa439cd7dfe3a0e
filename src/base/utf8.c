#include "base/utf8.h"

size_t utf8_read(const uint8_t *in, size_t len, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c;
	size_t n;

	if (in[0] < 0x80) {
		*code = in[0];
		return 1;
	}
	if (in[0] < 0xc2 || in[0] > 0xf4)
		return 0;
	n = in[0] < 0xe0 ? 2 : in[0] < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	c = in[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((in[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (in[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return n;
}
