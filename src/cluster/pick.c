/* Which algorithms there are. */
#include "cluster/pick.h"

#include <string.h>

static const struct algorithm *const algorithms[] = {
	&algorithm_round_robin, &algorithm_least_connections, &algorithm_random_two,
	&algorithm_ip_hash,	&algorithm_consistent_hash,
};

const struct algorithm *algorithm_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		if (strcmp(algorithms[i]->name, name) == 0)
			return algorithms[i];
	}
	return NULL;
}

/* By main, once; the names are read from the rows, so that there is no second list. */
const char *const *algorithm_names(void)
{
	static const char *names[ARRAY_LEN(algorithms) + 1];

	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		names[i] = algorithms[i]->name;
	return names;
}
