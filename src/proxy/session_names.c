#include "proxy/session_names.h"

#include "base/digest.h"
#include "base/hash.h"
#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>

#define NAMES_MAX (1u << 20)

struct name {
	uint64_t name;
	unsigned worker;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hash_map names;
static uint64_t seed;
static char node[12];

bool session_names_setup(void)
{
	uint8_t bytes[6];

	if (node[0] != '\0')
		return true;
	random_bytes(bytes, sizeof(bytes));
	hex_encode(bytes, 5, node); /* no '-', which ends it */
	random_bytes(&seed, sizeof(seed));
	hash_map_init(&names);
	return true;
}

const char *session_node(void)
{
	return node;
}

uint64_t session_name(const void *text, unsigned len, uint64_t scope)
{
	uint64_t name = hash64(text, len, seed ^ scope);

	return name != 0 ? name : 1;
}

enum session_claim session_names_claim(uint64_t name, unsigned worker, unsigned *owner)
{
	enum session_claim result = SESSION_NO_ROOM;
	struct name *n;

	pthread_mutex_lock(&lock);
	n = hash_map_find(&names, &name, sizeof(name));
	if (n != NULL) {
		*owner = n->worker;
		result = SESSION_TAKEN;
	} else if (names.count < NAMES_MAX && (n = malloc(sizeof(*n))) != NULL) {
		*n = (struct name){ name, worker };
		if (hash_map_put(&names, &n->name, sizeof(n->name), n) == 0)
			result = SESSION_CLAIMED;
		else
			free(n);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

bool session_names_find(uint64_t name, unsigned *owner)
{
	struct name *n;

	pthread_mutex_lock(&lock);
	n = hash_map_find(&names, &name, sizeof(name));
	if (n != NULL)
		*owner = n->worker;
	pthread_mutex_unlock(&lock);
	return n != NULL;
}

void session_names_remove(uint64_t name)
{
	struct name *n;

	pthread_mutex_lock(&lock);
	n = hash_map_remove(&names, &name, sizeof(name));
	pthread_mutex_unlock(&lock);
	free(n);
}
