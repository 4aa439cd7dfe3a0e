#include "guard/revocations.h"

#include "base/hash.h"
#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAMES_MAX 1000000u
#define LINE_LEN       (REVOCATION_TEXT_MAX + 64u)

struct revocation {
	uint64_t hash; /* the key */
	uint64_t until_s;
	enum token_name by;
	char text[];
};

struct revocations {
	pthread_rwlock_t lock;
	struct hash_map map;
	atomic_size_t count; /* of the map: 0 is seen without the lock */
	uint64_t seed;
};

struct revocations *revocations_new(void)
{
	struct revocations *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	pthread_rwlock_init(&r->lock, NULL);
	hash_map_init(&r->map);
	random_bytes(&r->seed, sizeof(r->seed));
	return r;
}

void revocations_free(struct revocations *r)
{
	struct revocation *e;
	size_t cursor = 0;

	if (r == NULL)
		return;
	while ((e = hash_map_next(&r->map, &cursor)) != NULL)
		free(e);
	hash_map_done(&r->map);
	pthread_rwlock_destroy(&r->lock);
	free(r);
}

uint64_t token_name_hash(const struct revocations *r, enum token_name by, const char *text, size_t len)
{
	uint64_t hash = hash64(text, len, (r != NULL ? r->seed : 0) ^ (uint64_t)by);

	return hash != 0 ? hash : 1;
}

static bool is_over(const struct revocation *e, uint64_t now_s)
{
	return e->until_s != 0 && e->until_s <= now_s;
}

static void forget(struct revocations *r, struct revocation *e)
{
	hash_map_remove(&r->map, &e->hash, sizeof(e->hash));
	free(e);
}

/* Drops what is over; each removal moves others, so it begins anew: only when the table is full. */
static void sweep(struct revocations *r, uint64_t now_s)
{
	struct revocation **over = calloc(r->map.count + 1, sizeof(struct revocation *)), *e;
	size_t cursor = 0, count = 0;

	while (over != NULL && (e = hash_map_next(&r->map, &cursor)) != NULL)
		if (is_over(e, now_s))
			over[count++] = e;
	for (size_t i = 0; i < count; i++)
		forget(r, over[i]);
	free(over);
}

static int add_new(struct revocations *r, uint64_t hash, enum token_name by, const char *text, uint64_t until_s)
{
	size_t len = strlen(text) + 1;
	struct revocation *e = malloc(sizeof(*e) + len);
	int err;

	if (e == NULL)
		return -ENOMEM;
	*e = (struct revocation){ .hash = hash, .until_s = until_s, .by = by };
	memcpy(e->text, text, len);
	err = hash_map_put(&r->map, &e->hash, sizeof(e->hash), e);
	if (err < 0)
		free(e);
	return err;
}

int revocations_add(struct revocations *r, enum token_name by, const char *text, uint64_t until_s, uint64_t now_s)
{
	size_t len = strlen(text);
	uint64_t hash = token_name_hash(r, by, text, len);
	struct revocation *e;
	int err = 0;

	if (len == 0 || len > REVOCATION_TEXT_MAX)
		return -EINVAL;
	pthread_rwlock_wrlock(&r->lock);
	e = hash_map_find(&r->map, &hash, sizeof(hash));
	if (e == NULL && r->map.count >= REVOCATIONS_MAX)
		sweep(r, now_s);
	if (e != NULL)
		e->until_s = until_s;
	else if (r->map.count >= REVOCATIONS_MAX)
		err = -ENOSPC;
	else
		err = add_new(r, hash, by, text, until_s);
	atomic_store(&r->count, r->map.count);
	pthread_rwlock_unlock(&r->lock);
	return err;
}

bool revocations_remove(struct revocations *r, enum token_name by, const char *text)
{
	uint64_t hash = token_name_hash(r, by, text, strlen(text));
	struct revocation *e;

	pthread_rwlock_wrlock(&r->lock);
	e = hash_map_find(&r->map, &hash, sizeof(hash));
	if (e != NULL)
		forget(r, e);
	atomic_store(&r->count, r->map.count);
	pthread_rwlock_unlock(&r->lock);
	return e != NULL;
}

bool revocations_has(struct revocations *r, const struct token_names *names, uint64_t now_s)
{
	bool has = false;

	if (r == NULL || atomic_load(&r->count) == 0)
		return false;
	pthread_rwlock_rdlock(&r->lock);
	for (size_t i = 0; i < TOKEN_NAMES && !has; i++) {
		const struct revocation *e = hash_map_find(&r->map, &names->at[i], sizeof(names->at[i]));

		has = names->at[i] != 0 && e != NULL && !is_over(e, now_s);
	}
	pthread_rwlock_unlock(&r->lock);
	return has;
}

void revocations_each(struct revocations *r, uint64_t now_s,
		      void (*fn)(void *user, enum token_name by, const char *text, uint64_t until_s), void *user)
{
	const struct revocation *e;
	size_t cursor = 0;

	pthread_rwlock_rdlock(&r->lock);
	while ((e = hash_map_next(&r->map, &cursor)) != NULL)
		if (!is_over(e, now_s))
			fn(user, e->by, e->text, e->until_s);
	pthread_rwlock_unlock(&r->lock);
}

/* ---- a file ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool hashes_add(struct revoked_file *f, size_t *cap, uint64_t hash)
{
	if (f->count == *cap) {
		size_t more = *cap == 0 ? 64 : *cap * 2;
		uint64_t *grown = realloc(f->hashes, more * sizeof(*grown));

		if (grown == NULL)
			return false;
		f->hashes = grown;
		*cap = more;
	}
	f->hashes[f->count++] = hash;
	return true;
}

/* The name behind the word; NULL: another line.  Comments and white space around it are cut off. */
static const char *line_read(char *line, enum token_name *by)
{
	static const char *const words[] = { [TOKEN_JTI] = "jti", [TOKEN_SUB] = "sub" };
	size_t len;

	for (unsigned i = 0; i < TOKEN_NAMES; i++) {
		if (strncmp(line, words[i], 3) != 0 || (line[3] != ' ' && line[3] != '\t'))
			continue;
		*by = (enum token_name)i;
		line += 3 + strspn(line + 3, " \t");
		len = strlen(line);
		return len > 0 && len <= REVOCATION_TEXT_MAX ? line : NULL;
	}
	return NULL;
}

static char *line_trim(char *line)
{
	size_t len;

	line[strcspn(line, "\r\n")] = '\0';
	line += strspn(line, " \t");
	for (char *at = line; (at = strchr(at, '#')) != NULL; at++) {
		if (at > line && at[-1] != ' ' && at[-1] != '\t')
			continue; /* of the name */
		*at = '\0';
		break;
	}
	len = strlen(line);
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		line[--len] = '\0';
	return line;
}

bool revoked_file_read(struct revoked_file *f, const char *path, const struct revocations *seed,
		       struct config_errors *errors)
{
	FILE *in = fopen(path, "re");
	size_t cap = 0, before = errors->errors_count;
	char line[LINE_LEN];

	*f = (struct revoked_file){ NULL, 0 };
	for (unsigned number = 1; in != NULL && fgets(line, sizeof(line), in) != NULL; number++) {
		bool is_cut = strchr(line, '\n') == NULL && !feof(in);
		char *text = line_trim(line);
		enum token_name by = TOKEN_JTI;
		const char *name = line_read(text, &by);

		if (is_cut || (name == NULL && *text != '\0')) {
			config_errors_add(errors, path, number, 1, false, "\"%.64s\": a line is \"jti NAME\" or \"sub NAME\"",
					  text);
			break;
		}
		if (name != NULL && (f->count >= FILE_NAMES_MAX ||
				     !hashes_add(f, &cap, token_name_hash(seed, by, name, strlen(name))))) {
			config_errors_add(errors, path, number, 1, false, "too many names, or no memory for them");
			break;
		}
	}
	if (in == NULL || ferror(in))
		config_errors_add(errors, path, 0, 0, false, "cannot be read: %s", strerror(errno));
	if (in != NULL)
		fclose(in);
	if (errors->errors_count > before) {
		revoked_file_done(f);
		return false;
	}
	if (f->count > 0)
		qsort(f->hashes, f->count, sizeof(*f->hashes), compare);
	return true;
}

void revoked_file_done(struct revoked_file *f)
{
	free(f->hashes);
	*f = (struct revoked_file){ NULL, 0 };
}

bool revoked_file_has(const struct revoked_file *f, const struct token_names *names)
{
	for (size_t i = 0; f->count > 0 && i < TOKEN_NAMES; i++)
		if (names->at[i] != 0 && bsearch(&names->at[i], f->hashes, f->count, sizeof(*f->hashes), compare) != NULL)
			return true;
	return false;
}
