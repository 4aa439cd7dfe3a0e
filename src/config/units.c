/* Numbers with units, read and written. */
#include "config/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"

#define RATE_MAX 1000000000000u /* a double holds every integer below 2^53 */

struct unit {
	const char *name;
	uint64_t factor;
};

/* The largest first: printers take the first that divides. */
static const struct unit duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
static const struct unit size_units[] = {
	{ "TiB", 1ull << 40 },
	{ "GiB", 1ull << 30 },
	{ "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 },
	{ "B", 1 },
};
static const struct unit rate_units[] = { { "/s", 1 }, { "/m", 60 }, { "/h", 3600 } };

/* Reads digits; *text moves behind them. */
static enum units_error digits_read(const char **text, uint64_t *value)
{
	uint64_t v = 0;

	if (**text < '0' || **text > '9')
		return UNITS_NOT_A_NUMBER;
	for (; **text >= '0' && **text <= '9'; (*text)++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**text - '0'), &v))
			return UNITS_TOO_LARGE;
	*value = v;
	return UNITS_OK;
}

/* The unit at `text`: its letters must end at the end of the text or at a digit. */
static const struct unit *unit_find(const struct unit *units, size_t count, const char *text, size_t *index)
{
	size_t len = strcspn(text, "0123456789");

	for (size_t i = 0; i < count; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0) {
			*index = i;
			return &units[i];
		}
	return NULL;
}

enum units_error units_parse_duration(const char *text, uint64_t *ms)
{
	uint64_t sum = 0;
	size_t least = 0; /* the next unit must be a smaller one */

	if (strcmp(text, "0") == 0) {
		*ms = 0;
		return UNITS_OK;
	}
	do {
		uint64_t n;
		size_t index;
		const struct unit *u;
		enum units_error error = digits_read(&text, &n);

		if (error != UNITS_OK)
			return error;
		if (*text == '\0')
			return UNITS_NO_UNIT;
		u = unit_find(duration_units, ARRAY_LEN(duration_units), text, &index);
		if (u == NULL || index < least)
			return UNITS_UNKNOWN_UNIT;
		least = index + 1;
		text += strlen(u->name);
		if (__builtin_mul_overflow(n, u->factor, &n) || __builtin_add_overflow(sum, n, &sum) ||
		    sum > INT64_MAX)
			return UNITS_TOO_LARGE;
	} while (*text != '\0');
	*ms = sum;
	return UNITS_OK;
}

enum units_error units_parse_size(const char *text, uint64_t *bytes)
{
	uint64_t n;
	size_t index;
	const struct unit *u;
	enum units_error error = digits_read(&text, &n);

	if (error != UNITS_OK)
		return error;
	if (*text == '\0') {
		if (n != 0)
			return UNITS_NO_UNIT;
		*bytes = 0;
		return UNITS_OK;
	}
	u = unit_find(size_units, ARRAY_LEN(size_units), text, &index);
	if (u == NULL || text[strlen(u->name)] != '\0')
		return UNITS_UNKNOWN_UNIT;
	if (__builtin_mul_overflow(n, u->factor, &n) || n > INT64_MAX)
		return UNITS_TOO_LARGE;
	*bytes = n;
	return UNITS_OK;
}

static const struct unit *rate_unit_find(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(rate_units); i++)
		if (strcmp(rate_units[i].name, text) == 0)
			return &rate_units[i];
	return NULL;
}

enum units_error units_parse_rate(const char *text, double *per_s)
{
	uint64_t n;
	const struct unit *u;
	enum units_error error = digits_read(&text, &n);

	if (error != UNITS_OK)
		return error;
	if (*text == '\0') {
		if (n != 0)
			return UNITS_NO_UNIT;
		*per_s = 0;
		return UNITS_OK;
	}
	u = rate_unit_find(text);
	if (u == NULL)
		return UNITS_UNKNOWN_UNIT;
	if (n > RATE_MAX)
		return UNITS_TOO_LARGE;
	*per_s = (double)n / (double)u->factor;
	return UNITS_OK;
}

enum units_error units_parse_byte_rate(const char *text, double *bytes_per_s)
{
	const char *slash = strchr(text, '/');
	char size_text[UNITS_TEXT_MAX];
	const struct unit *u;
	uint64_t bytes;
	enum units_error error;

	if (slash == NULL) {
		error = units_parse_size(text, &bytes);
		if (error != UNITS_OK)
			return error;
		if (bytes != 0)
			return UNITS_NO_UNIT;
		*bytes_per_s = 0;
		return UNITS_OK;
	}
	if ((size_t)(slash - text) >= sizeof(size_text))
		return UNITS_NOT_A_NUMBER;
	memcpy(size_text, text, (size_t)(slash - text));
	size_text[slash - text] = '\0';
	error = units_parse_size(size_text, &bytes);
	if (error != UNITS_OK)
		return error;
	u = rate_unit_find(slash);
	if (u == NULL)
		return UNITS_UNKNOWN_UNIT;
	if (bytes > RATE_MAX)
		return UNITS_TOO_LARGE;
	*bytes_per_s = (double)bytes / (double)u->factor;
	return UNITS_OK;
}

/* One division of two exact integers: the nearest double, so that the millionths of it give the text back. */
static enum units_error decimal_read(const char **text, double *value)
{
	uint64_t n, scale = 1;
	enum units_error error = digits_read(text, &n);

	if (error != UNITS_OK)
		return error;
	if (n > 1000000000)
		return UNITS_TOO_LARGE;
	if (**text == '.') {
		const char *p = *text + 1;

		for (; *p >= '0' && *p <= '9' && scale < 1000000; p++, scale *= 10)
			n = n * 10 + (uint64_t)(*p - '0');
		if (scale == 1 || (*p >= '0' && *p <= '9'))
			return UNITS_NOT_A_NUMBER;
		*text = p;
	}
	*value = (double)n / (double)scale;
	return UNITS_OK;
}

enum units_error units_parse_decimal(const char *text, double *value)
{
	double v;
	enum units_error error = decimal_read(&text, &v);

	if (error != UNITS_OK)
		return error;
	if (*text != '\0')
		return UNITS_NOT_A_NUMBER;
	*value = v;
	return UNITS_OK;
}

enum units_error units_parse_percent(const char *text, double *percent)
{
	double v;
	enum units_error error = decimal_read(&text, &v);

	if (error != UNITS_OK)
		return error;
	if (*text == '\0' && v > 0)
		return UNITS_NO_UNIT;
	if (*text != '\0' && strcmp(text, "%") != 0)
		return UNITS_UNKNOWN_UNIT;
	*percent = v;
	return UNITS_OK;
}

enum units_error units_parse_uint(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t n;
	enum units_error error = digits_read(&text, &n);

	if (error != UNITS_OK)
		return error;
	if (*text != '\0')
		return UNITS_NOT_A_NUMBER;
	if (n > max)
		return UNITS_TOO_LARGE;
	*value = n;
	return UNITS_OK;
}

static void print_largest(const struct unit *units, size_t count, uint64_t value, char out[UNITS_TEXT_MAX])
{
	for (size_t i = 0; i < count; i++)
		if (value != 0 && value % units[i].factor == 0) {
			snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / units[i].factor,
				 units[i].name);
			return;
		}
	snprintf(out, UNITS_TEXT_MAX, "0");
}

void units_print_duration(uint64_t ms, char out[UNITS_TEXT_MAX])
{
	print_largest(duration_units, ARRAY_LEN(duration_units), ms, out);
}

void units_print_size(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
	print_largest(size_units, ARRAY_LEN(size_units), bytes, out);
}

/* The period in which the rate is a whole number. */
static const struct unit *rate_unit_for(double per_s, uint64_t *count)
{
	for (size_t i = 0; i < ARRAY_LEN(rate_units); i++) {
		double n = round(per_s * (double)rate_units[i].factor);

		if (n / (double)rate_units[i].factor == per_s || i + 1 == ARRAY_LEN(rate_units)) {
			*count = (uint64_t)n;
			return &rate_units[i];
		}
	}
	return NULL; /* not reached: the last unit always serves */
}

void units_print_rate(double per_s, char out[UNITS_TEXT_MAX])
{
	uint64_t n;
	const struct unit *u = rate_unit_for(per_s, &n);

	if (per_s > 0)
		snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", n, u->name);
	else
		snprintf(out, UNITS_TEXT_MAX, "0");
}

void units_print_byte_rate(double bytes_per_s, char out[UNITS_TEXT_MAX])
{
	uint64_t n;
	const struct unit *u = rate_unit_for(bytes_per_s, &n);
	char size_text[UNITS_TEXT_MAX];

	units_print_size(n, size_text);
	if (bytes_per_s > 0)
		snprintf(out, UNITS_TEXT_MAX, "%.40s%s", size_text, u->name);
	else
		snprintf(out, UNITS_TEXT_MAX, "0");
}

void units_print_decimal(double value, char out[UNITS_TEXT_MAX])
{
	uint64_t millionths = (uint64_t)llround(value * 1000000);
	size_t len;

	snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 ".%06" PRIu64, millionths / 1000000, millionths % 1000000);
	for (len = strlen(out); out[len - 1] == '0'; len--)
		out[len - 1] = '\0';
	if (out[len - 1] == '.')
		out[len - 1] = '\0';
}

void units_print_percent(double percent, char out[UNITS_TEXT_MAX])
{
	units_print_decimal(percent, out);
	strncat(out, "%", UNITS_TEXT_MAX - strlen(out) - 1);
}
