#include "base/clock.h"

#include "base/str.h"

#include <time.h>

#define NS_PER_S 1000000000u

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

struct civil {
	unsigned year, month, day; /* month and day from 1 */
	unsigned weekday;	   /* Sunday is 0 */
	unsigned hour, minute, second, ms;
};

static uint64_t clock_read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail with these clocks */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

static unsigned is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* UTC, Gregorian, from 1970 on.  Not gmtime_r(): that takes a lock of the C library's for the time zone. */
static struct civil civil_of(uint64_t wall_ns)
{
	static const uint16_t days_before[13] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	uint64_t seconds = wall_ns / NS_PER_S;
	unsigned days = (unsigned)(seconds / 86400), in_day = (unsigned)(seconds % 86400);
	unsigned month, before, leap;
	struct civil c = {
		.weekday = (days + 4) % 7, /* 1 January 1970 was a Thursday */
		.hour = in_day / 3600,
		.minute = in_day / 60 % 60,
		.second = in_day % 60,
		.ms = (unsigned)(wall_ns % NS_PER_S / 1000000),
	};

	/* counted from 1 January 1601, the start of a cycle of 400 years */
	days += 134774;
	c.year = 1601 + days / 146097 * 400;
	days %= 146097;
	before = days / 36524 > 3 ? 3 : days / 36524; /* whole centuries; the fourth has a day more */
	c.year += before * 100;
	days -= before * 36524;
	c.year += days / 1461 * 4;
	days %= 1461;
	before = days / 365 > 3 ? 3 : days / 365; /* whole years; the fourth has a day more */
	c.year += before;
	days -= before * 365;

	leap = is_leap(c.year);
	for (month = 1; month < 12; month++)
		if (days < days_before[month] + (month >= 2 ? leap : 0))
			break;
	c.month = month;
	c.day = days - days_before[month - 1] - (month - 1 >= 2 ? leap : 0) + 1;
	return c;
}

static void put_time(struct str *s, const struct civil *c)
{
	str_dec_padded(s, c->hour, 2);
	str_char(s, ':');
	str_dec_padded(s, c->minute, 2);
	str_char(s, ':');
	str_dec_padded(s, c->second, 2);
}

size_t clock_print_iso(uint64_t wall_ns, char out[CLOCK_ISO_MAX])
{
	struct civil c = civil_of(wall_ns);
	struct str s;

	str_init(&s, out, CLOCK_ISO_MAX);
	str_dec_padded(&s, c.year, 4);
	str_char(&s, '-');
	str_dec_padded(&s, c.month, 2);
	str_char(&s, '-');
	str_dec_padded(&s, c.day, 2);
	str_char(&s, 'T');
	put_time(&s, &c);
	str_char(&s, '.');
	str_dec_padded(&s, c.ms, 3);
	str_char(&s, 'Z');
	str_text(&s);
	return s.len;
}

size_t clock_print_http(uint64_t wall_ns, char out[CLOCK_HTTP_MAX])
{
	struct civil c = civil_of(wall_ns);
	struct str s;

	str_init(&s, out, CLOCK_HTTP_MAX);
	str_bytes(&s, day_names[c.weekday], 3);
	str_cstr(&s, ", ");
	str_dec_padded(&s, c.day, 2);
	str_char(&s, ' ');
	str_bytes(&s, month_names[c.month - 1], 3);
	str_char(&s, ' ');
	str_dec_padded(&s, c.year, 4);
	str_char(&s, ' ');
	put_time(&s, &c);
	str_cstr(&s, " GMT");
	str_text(&s);
	return s.len;
}

size_t clock_print_clf(uint64_t wall_ns, char out[CLOCK_CLF_MAX])
{
	struct civil c = civil_of(wall_ns);
	struct str s;

	str_init(&s, out, CLOCK_CLF_MAX);
	str_dec_padded(&s, c.day, 2);
	str_char(&s, '/');
	str_bytes(&s, month_names[c.month - 1], 3);
	str_char(&s, '/');
	str_dec_padded(&s, c.year, 4);
	str_char(&s, ':');
	put_time(&s, &c);
	str_cstr(&s, " +0000");
	str_text(&s);
	return s.len;
}
