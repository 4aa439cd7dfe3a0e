/* Numbers with units: durations, sizes, rates, percentages.
 *
 * Parsers want the whole text and write only on success; each printer writes what its parser reads back to
 * the very same value.  Locale plays no part.  A zero needs no unit. */
#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_MAX 48 /* bytes of any printed value, with the NUL */

enum units_error {
	UNITS_OK,
	UNITS_NOT_A_NUMBER,
	UNITS_NO_UNIT,	    /* a bare number that is not 0 */
	UNITS_UNKNOWN_UNIT, /* also a number with a decimal point where none may be */
	UNITS_TOO_LARGE,
};

/* "500ms", "30s", "5m", "1h", "1d", and sums in falling order, "1h30m". */
enum units_error units_parse_duration(const char *text, uint64_t *ms);
/* "512B", "64KiB", "1MiB", "2GiB", "1TiB". */
enum units_error units_parse_size(const char *text, uint64_t *bytes);
/* "50/s", "5/m", "1/h". */
enum units_error units_parse_rate(const char *text, double *per_s);
/* "64KiB/s", "1MiB/m". */
enum units_error units_parse_byte_rate(const char *text, double *bytes_per_s);
/* "50%", "0.5%": the number before the sign. */
enum units_error units_parse_percent(const char *text, double *percent);
/* "1.25": digits, and at most six behind a point. */
enum units_error units_parse_decimal(const char *text, double *value);
/* Digits only. */
enum units_error units_parse_uint(const char *text, uint64_t max, uint64_t *value);

void units_print_duration(uint64_t ms, char out[UNITS_TEXT_MAX]);
void units_print_size(uint64_t bytes, char out[UNITS_TEXT_MAX]);
void units_print_rate(double per_s, char out[UNITS_TEXT_MAX]);
void units_print_byte_rate(double bytes_per_s, char out[UNITS_TEXT_MAX]);
void units_print_percent(double percent, char out[UNITS_TEXT_MAX]);
void units_print_decimal(double value, char out[UNITS_TEXT_MAX]);

#endif
