#include "guard/counters.h"

static const struct counter_row rows[] = {
	{ "limit_table_evicted_total", "Addresses and keys that the limits forgot before their time: the table is full.", NULL,
	  false },
	{ "limit_table_full_total", "Connections and requests that passed uncounted: the table is full of those that are held.",
	  NULL, false },
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == GUARD_COUNTERS_END - COUNTERS_GUARD, "a row for each");

void guard_counters_setup(void)
{
	counters_register(COUNTERS_GUARD, rows, sizeof(rows) / sizeof(rows[0]));
}
