/* What guard/ counts: rows of the metrics.  Refusals are counted by their reason (base/reasons). */
#ifndef GUARD_COUNTERS_H
#define GUARD_COUNTERS_H

#include "base/counters.h"

enum {
	GUARD_TABLE_EVICTED = COUNTERS_GUARD,
	GUARD_TABLE_FULL,
	GUARD_COUNTERS_END
};

/* Once, at start. */
void guard_counters_setup(void);

#endif
