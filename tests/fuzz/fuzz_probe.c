/* cluster/probe: an octet of settings, then what an endpoint answers to a check.
 *
 * Always: the verdict is the same however the answer is cut; bad and good ones say why. */
#include "cluster/probe.h"

#include "must.h"

#include <string.h>

static struct health_config config_of(uint8_t settings)
{
	static uint32_t expected[] = { 200, 101 };

	return (struct health_config){
		.type = settings % 3,
		.path = (char *)(uintptr_t) "/",
		.method = (char *)(uintptr_t) "GET",
		.expect_status = expected,
		.expect_status_count = 2,
		.expect_body = { .kind = PATTERN_EXACT,
				 .text = (char *)(uintptr_t) "ok",
				 .text_len = (settings & 4) != 0 ? 2 : 0 },
	};
}

/* Settings of 8: past the handshake, which nobody can answer whose key is random. */
static enum probe_verdict judge(const struct health_config *config, uint8_t settings, const uint8_t *in, size_t len,
				size_t step)
{
	static struct probe p;
	enum probe_verdict verdict;
	size_t at = 0;

	MUST(probe_init(&p, config, "fuzz.test"));
	if (settings & 8) {
		p.is_open = true;
		memset(p.ping, 'p', sizeof(p.ping));
	}
	verdict = probe_open(&p);
	while (verdict == PROBE_MORE && at < len) {
		size_t size = len - at < step ? len - at : step;
		uint8_t *copy = malloc(size);

		MUST(copy != NULL);
		memcpy(copy, in + at, size);
		verdict = probe_feed(&p, copy, size);
		free(copy);
		at += size;
	}
	if (verdict == PROBE_MORE)
		verdict = probe_eof(&p);
	MUST(verdict != PROBE_MORE && p.why[0] != '\0');
	probe_done(&p);
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct health_config config;
	enum probe_verdict whole;

	if (size == 0 || size > 40000)
		return 0;
	config = config_of(data[0]);
	whole = judge(&config, data[0], data + 1, size - 1, size);
	MUST(judge(&config, data[0], data + 1, size - 1, 1) == whole);
	MUST(judge(&config, data[0], data + 1, size - 1, 7) == whole);
	return 0;
}
