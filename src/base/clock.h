/* Time, in the units that the code uses. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC. */
uint64_t clock_now_ns(void);
static inline uint64_t clock_now_ms(void)
{
	return clock_now_ns() / 1000000;
}

/* CLOCK_REALTIME in nanoseconds since the epoch. */
uint64_t clock_wall_ns(void);

#define CLOCK_ISO_MAX  32 /* "2026-11-24T14:50:16.123Z" */
#define CLOCK_HTTP_MAX 32 /* "Tue, 24 Nov 2026 14:50:16 GMT" (RFC 9110 5.6.7) */
#define CLOCK_CLF_MAX  32 /* "24/Nov/2026:14:50:16 +0000" */
size_t clock_print_iso(uint64_t wall_ns, char out[CLOCK_ISO_MAX]);
size_t clock_print_http(uint64_t wall_ns, char out[CLOCK_HTTP_MAX]);
size_t clock_print_clf(uint64_t wall_ns, char out[CLOCK_CLF_MAX]);

#endif
