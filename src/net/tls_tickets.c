#include "net/tls_tickets.h"

#include "base/clock.h"
#include "base/random.h"
#include "net/tls_files.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LEN = 16, IV_LEN = 16, KEY_LEN = 32, PERIODS = 3, FILE_KEY_LEN = NAME_LEN + 2 * KEY_LEN };

/* AES-256-CBC, then HMAC-SHA-256 over all of it: the form that OpenSSL's callback asks for. */
struct ticket_key {
	uint8_t name[NAME_LEN];
	uint8_t cipher[KEY_LEN];
	uint8_t mac[KEY_LEN];
	bool is_set;
};

struct tls_tickets {
	atomic_uint refs;
	uint64_t period_ms; /* 0: never rotated */
	EVP_CIPHER *cipher; /* fetched once */

	pthread_mutex_t lock;		 /* for what follows */
	bool is_of_file;		 /* the keys: whoever writes it rotates them */
	uint64_t begun_ms;		 /* of the period under way */
	struct ticket_key keys[PERIODS]; /* by age in periods; [0] seals */
};

static void key_make(struct ticket_key *k)
{
	random_bytes(k->name, sizeof(k->name));
	random_bytes(k->cipher, sizeof(k->cipher));
	random_bytes(k->mac, sizeof(k->mac));
	k->is_set = true;
}

/* Moves all keys back by `periods` and makes a new first one.  Under the lock. */
static void keys_age(struct tls_tickets *t, uint64_t periods)
{
	size_t by = periods < PERIODS ? (size_t)periods : PERIODS;

	for (size_t i = PERIODS; i-- > 0;) {
		if (i >= by)
			t->keys[i] = t->keys[i - by];
		else
			OPENSSL_cleanse(&t->keys[i], sizeof(t->keys[i]));
	}
	key_make(&t->keys[0]);
}

/* Under the lock. */
static void keys_rotate_if_due(struct tls_tickets *t)
{
	uint64_t now_ms, periods;

	if (t->period_ms == 0 || t->is_of_file)
		return;
	now_ms = clock_now_ms();
	if (now_ms - t->begun_ms < t->period_ms)
		return;
	periods = (now_ms - t->begun_ms) / t->period_ms;
	t->begun_ms += periods * t->period_ms;
	keys_age(t, periods);
}

struct tls_tickets *tls_tickets_new(uint32_t rotate_s)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (t->cipher == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
		EVP_CIPHER_free(t->cipher);
		free(t);
		return NULL;
	}
	atomic_init(&t->refs, 1);
	t->period_ms = (uint64_t)rotate_s * 1000;
	t->begun_ms = clock_now_ms();
	key_make(&t->keys[0]);
	return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t)
{
	if (t != NULL)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&t->lock);
	EVP_CIPHER_free(t->cipher);
	OPENSSL_cleanse(t->keys, sizeof(t->keys));
	free(t);
}

static void keys_set(struct tls_tickets *t, const uint8_t *bytes, size_t count)
{
	pthread_mutex_lock(&t->lock);
	OPENSSL_cleanse(t->keys, sizeof(t->keys));
	for (size_t i = 0; i < count; i++, bytes += FILE_KEY_LEN) {
		memcpy(t->keys[i].name, bytes, NAME_LEN);
		memcpy(t->keys[i].mac, bytes + NAME_LEN, KEY_LEN);
		memcpy(t->keys[i].cipher, bytes + NAME_LEN + KEY_LEN, KEY_LEN);
		t->keys[i].is_set = true;
	}
	t->is_of_file = true;
	pthread_mutex_unlock(&t->lock);
}

bool tls_tickets_load(struct tls_tickets *t, const char *path, char *error, size_t error_len)
{
	struct tls_fault fault = { .text = error, .cap = error_len };
	uint8_t bytes[PERIODS * FILE_KEY_LEN];
	size_t len = 0;
	bool ok = tls_secret_read(path, bytes, sizeof(bytes), &len, &fault);

	if (ok && (len == 0 || len % FILE_KEY_LEN != 0))
		ok = tls_fault_say(&fault, path, "%zu bytes: a key has %d (openssl rand %d)", len, FILE_KEY_LEN, FILE_KEY_LEN);
	if (ok)
		keys_set(t, bytes, len / FILE_KEY_LEN);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return ok;
}

void tls_tickets_unload(struct tls_tickets *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->is_of_file) {
		OPENSSL_cleanse(t->keys, sizeof(t->keys));
		key_make(&t->keys[0]);
		t->begun_ms = clock_now_ms();
		t->is_of_file = false;
	}
	pthread_mutex_unlock(&t->lock);
}

void tls_tickets_rotate(struct tls_tickets *t)
{
	pthread_mutex_lock(&t->lock);
	keys_rotate_if_due(t);
	t->begun_ms = clock_now_ms();
	keys_age(t, 1);
	pthread_mutex_unlock(&t->lock);
}

/* ---- to the next process ---- */

static_assert(NAME_LEN + KEY_LEN + KEY_LEN == sizeof(((struct tls_tickets_state *)0)->keys[0]), "a key's bytes");
static_assert(PERIODS == sizeof(((struct tls_tickets_state *)0)->is_set), "as many keys");

void tls_tickets_save(struct tls_tickets *t, struct tls_tickets_state *out)
{
	pthread_mutex_lock(&t->lock);
	keys_rotate_if_due(t);
	out->age_ms = clock_now_ms() - t->begun_ms;
	for (size_t i = 0; i < PERIODS; i++) {
		const struct ticket_key *k = &t->keys[i];

		memcpy(out->keys[i], k->name, NAME_LEN);
		memcpy(out->keys[i] + NAME_LEN, k->cipher, KEY_LEN);
		memcpy(out->keys[i] + NAME_LEN + KEY_LEN, k->mac, KEY_LEN);
		out->is_set[i] = k->is_set;
	}
	pthread_mutex_unlock(&t->lock);
}

void tls_tickets_restore(struct tls_tickets *t, const struct tls_tickets_state *state)
{
	uint64_t now_ms = clock_now_ms();

	if (!state->is_set[0])
		return;
	pthread_mutex_lock(&t->lock);
	t->begun_ms = state->age_ms < now_ms ? now_ms - state->age_ms : 0;
	for (size_t i = 0; i < PERIODS; i++) {
		struct ticket_key *k = &t->keys[i];

		memcpy(k->name, state->keys[i], NAME_LEN);
		memcpy(k->cipher, state->keys[i] + NAME_LEN, KEY_LEN);
		memcpy(k->mac, state->keys[i] + NAME_LEN + KEY_LEN, KEY_LEN);
		k->is_set = state->is_set[i] != 0;
	}
	pthread_mutex_unlock(&t->lock);
}

/* A copy of the key that seals (name NULL) or of the one called so; its age in periods, or -1. */
static int key_find(struct tls_tickets *t, const uint8_t *name, struct ticket_key *out)
{
	int age = -1;

	pthread_mutex_lock(&t->lock);
	keys_rotate_if_due(t);
	for (int i = 0; i < PERIODS && age < 0; i++) {
		const struct ticket_key *k = &t->keys[i];

		if (k->is_set && (name == NULL || memcmp(k->name, name, NAME_LEN) == 0)) {
			*out = *k;
			age = i;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return age;
}

static bool contexts_init(const struct tls_tickets *t, const struct ticket_key *k, int sealing,
			  const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex2(cipher, t->cipher, k->cipher, iv, sealing, NULL) == 1 &&
	       EVP_MAC_init(mac, k->mac, sizeof(k->mac), params) == 1;
}

int tls_tickets_prepare(struct tls_tickets *t, int sealing, uint8_t name[NAME_LEN], uint8_t *iv,
			EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct ticket_key key;
	int age = key_find(t, sealing ? NULL : name, &key);
	bool ok;

	if (age < 0)
		return 0;
	if (sealing) {
		memcpy(name, key.name, NAME_LEN);
		random_bytes(iv, IV_LEN);
	}
	ok = contexts_init(t, &key, sealing, iv, cipher, mac);
	OPENSSL_cleanse(&key, sizeof(key));
	if (!ok)
		return -1;
	return !sealing && age > 0 ? 2 : 1;
}
