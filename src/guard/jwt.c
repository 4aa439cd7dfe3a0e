#include "guard/jwt.h"

#include "base/digest.h"
#include "base/list.h"
#include "base/signature.h"
#include "base/str.h"
#include "wire/headers.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1u << 20)
#define KEYS_MAX       256u

struct jwt_key {
	char *kid;		/* NULL: none */
	enum signature_alg alg; /* SIGNATURE_ALG_COUNT: any that fits */
	struct signature_key *key;
};

struct jwt_rules {
	const struct jwt_config *config; /* of the snapshot that holds us */
	uint32_t algs;			 /* bits of enum signature_alg */
	struct jwt_key *keys;
	size_t keys_count;
	struct revocations *revocations; /* the process's; NULL: none */
	struct revoked_file revoked;
};

/* ---- encoding ---- */

/* base64url without padding (RFC 7515 2); strict.  The length, or -1.  `out` needs len / 4 * 3 + 3 bytes. */
static long decode(const char *in, size_t len, uint8_t *out)
{
	static const int8_t values[256] = {
		['A'] = 1,  ['B'] = 2,	['C'] = 3,  ['D'] = 4,	['E'] = 5,  ['F'] = 6,	['G'] = 7,  ['H'] = 8,	['I'] = 9,
		['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
		['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
		['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
		['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
		['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
		['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63,
		['_'] = 64,
	};
	uint32_t bits = 0;
	unsigned held = 0;
	long n = 0;

	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int v = values[(uint8_t)in[i]] - 1;

		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		out[n++] = (uint8_t)(bits >> held);
	}
	return (bits & ((1u << held) - 1)) == 0 ? n : -1; /* one form for each value */
}

/* A member of a JWK, decoded into `out`; len 0: absent or broken. */
static struct signature_bytes member(const json_t *jwk, const char *name, uint8_t *out, size_t cap)
{
	const json_t *value = json_object_get(jwk, name);
	long len = -1;

	if (json_is_string(value) && json_string_length(value) / 4 * 3 + 3 <= cap)
		len = decode(json_string_value(value), json_string_length(value), out);
	return (struct signature_bytes){ out, len < 0 ? 0 : (size_t)len };
}

/* ---- keys ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

static struct signature_key *key_of(const json_t *jwk)
{
	uint8_t a[4096], b[4096];
	const char *kty = text_of(jwk, "kty"), *crv = text_of(jwk, "crv");
	struct signature_key *key = NULL;

	if (strcmp(kty, "RSA") == 0)
		key = signature_key_rsa(member(jwk, "n", a, sizeof(a)), member(jwk, "e", b, sizeof(b)));
	else if (strcmp(kty, "EC") == 0)
		key = signature_key_ec(crv, member(jwk, "x", a, sizeof(a)), member(jwk, "y", b, sizeof(b)));
	else if (strcmp(kty, "OKP") == 0)
		key = signature_key_okp(crv, member(jwk, "x", a, sizeof(a)));
	else if (strcmp(kty, "oct") == 0)
		key = signature_key_secret(member(jwk, "k", a, sizeof(a)));
	explicit_bzero(a, sizeof(a));
	return key;
}

/* Sets of an identity provider hold keys for other uses too, and of kinds that we do not know: those are left out. */
static bool is_for_signatures(const json_t *jwk)
{
	const char *use = text_of(jwk, "use");

	return json_is_object(jwk) && (*use == '\0' || strcmp(use, "sig") == 0);
}

static bool keys_read(struct jwt_rules *r, const json_t *set)
{
	const json_t *list = json_object_get(set, "keys");
	size_t count = json_is_array(list) ? json_array_size(list) : 0;

	if (count == 0 || count > KEYS_MAX)
		return false;
	r->keys = calloc(count, sizeof(*r->keys));
	for (size_t i = 0; r->keys != NULL && i < count; i++) {
		const json_t *jwk = json_array_get(list, i);
		const char *kid = text_of(jwk, "kid"), *alg = text_of(jwk, "alg");
		struct jwt_key *k = &r->keys[r->keys_count];

		k->key = is_for_signatures(jwk) ? key_of(jwk) : NULL;
		if (k->key == NULL)
			continue;
		k->kid = *kid != '\0' ? strdup(kid) : NULL;
		k->alg = signature_alg_of(alg, strlen(alg));
		r->keys_count++;
	}
	return r->keys_count > 0;
}

/* A whole small file, with a NUL behind it; NULL and errno. */
static char *file_read(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;
	ssize_t got = -1;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)FILE_MAX_BYTES)
		text = malloc((size_t)st.st_size + 1);
	else
		errno = EFBIG;
	if (text != NULL)
		got = read(fd, text, (size_t)st.st_size);
	close(fd);
	if (got < 0) {
		free(text);
		return NULL;
	}
	text[got] = '\0';
	*len = (size_t)got;
	return text;
}

static bool jwks_load(struct jwt_rules *r, const char *path, const char *text, size_t len, struct config_errors *errors)
{
	json_error_t error;
	json_t *set = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

	if (set == NULL)
		config_errors_add(errors, path, (unsigned)error.line, (unsigned)error.column, false, "no JSON: %s", error.text);
	else if (!keys_read(r, set))
		config_errors_add(errors, path, 0, 0, false,
				  "no key set: {\"keys\": [...]} with at least one key for signatures (RSA from 2048 bits, EC, "
				  "OKP, oct from 16 bytes) is wanted");
	json_decref(set);
	return r->keys_count > 0;
}

static bool secret_load(struct jwt_rules *r, const char *path, const char *text, size_t len, struct config_errors *errors)
{
	/* An editor's line end is none of the secret. */
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	r->keys = calloc(1, sizeof(*r->keys));
	if (r->keys != NULL)
		r->keys[0] = (struct jwt_key){ NULL, SIGNATURE_ALG_COUNT,
					       signature_key_secret((struct signature_bytes){ (const uint8_t *)text, len }) };
	if (r->keys == NULL || r->keys[0].key == NULL) {
		config_errors_add(errors, path, 0, 0, false, "no secret: 16 bytes at least, better 32 random ones");
		return false;
	}
	r->keys_count = 1;
	return true;
}

struct jwt_rules *jwt_rules_new(const struct jwt_config *c, struct revocations *revocations, struct config_errors *errors)
{
	const char *path = c->keys != NULL ? c->keys : c->secret_file;
	struct jwt_rules *r = calloc(1, sizeof(*r));
	size_t len = 0;
	char *text = file_read(path, &len);
	bool is_good = false;

	if (r == NULL || text == NULL)
		config_errors_add(errors, path, 0, 0, false, "cannot be read: %s", strerror(errno));
	else if (c->keys != NULL)
		is_good = jwks_load(r, path, text, len, errors);
	else
		is_good = secret_load(r, path, text, len, errors);
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
	if (r != NULL)
		r->revocations = revocations;
	if (is_good && c->revoked_file != NULL)
		is_good = revoked_file_read(&r->revoked, c->revoked_file, revocations, errors);
	if (!is_good) {
		jwt_rules_free(r);
		return NULL;
	}
	r->config = c;
	for (size_t i = 0; i < c->algorithms_count; i++)
		r->algs |= 1u << signature_alg_of(c->algorithms[i], strlen(c->algorithms[i]));
	return r;
}

void jwt_rules_free(struct jwt_rules *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->keys_count; i++) {
		free(r->keys[i].kid);
		signature_key_free(r->keys[i].key);
	}
	free(r->keys);
	revoked_file_done(&r->revoked);
	free(r);
}

/* ---- a token ---- */

struct parts {
	const char *header, *payload, *signature;
	size_t header_len, payload_len, signature_len;
};

static bool split(const char *token, size_t len, struct parts *p)
{
	const char *end = token + len, *first = memchr(token, '.', len), *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
		return false;
	*p = (struct parts){ token,
			     first + 1,
			     second + 1,
			     (size_t)(first - token),
			     (size_t)(second - first - 1),
			     (size_t)(end - second - 1) };
	return true;
}

static json_t *object_decode(const char *text, size_t len, uint8_t *room)
{
	long n = decode(text, len, room);
	json_t *object = n > 0 ? json_loadb((const char *)room, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* Any key of the set that the header may mean: of its kid, where both have one. */
static bool is_signed(const struct jwt_rules *r, const json_t *header, const struct parts *p, uint8_t *room)
{
	const json_t *kid = json_object_get(header, "kid");
	const char *name = text_of(header, "alg");
	enum signature_alg alg = signature_alg_of(name, strlen(name));
	const struct signature_bytes in = { (const uint8_t *)p->header, p->header_len + 1 + p->payload_len };
	long len = decode(p->signature, p->signature_len, room);

	if (alg == SIGNATURE_ALG_COUNT || (r->algs & 1u << alg) == 0 || len <= 0)
		return false;
	if (json_object_get(header, "crit") != NULL)
		return false; /* extensions that must be understood (RFC 7515 4.1.11): none are */
	for (size_t i = 0; i < r->keys_count; i++) {
		const struct jwt_key *k = &r->keys[i];

		if (json_is_string(kid) && k->kid != NULL && strcmp(k->kid, json_string_value(kid)) != 0)
			continue;
		if (k->alg != SIGNATURE_ALG_COUNT && k->alg != alg)
			continue;
		if (signature_verify(k->key, alg, in, (struct signature_bytes){ room, (size_t)len }))
			return true;
	}
	return false;
}

static bool list_has(char *const *list, size_t count, const json_t *value)
{
	for (size_t i = 0; json_is_string(value) && i < count; i++)
		if (strcmp(list[i], json_string_value(value)) == 0)
			return true;
	return false;
}

/* A claim that is one of the values, or a list that holds one of them; no values: it is there. */
static bool claim_meets(const json_t *claim, char *const *values, size_t count)
{
	size_t i;
	const json_t *item;

	if (claim == NULL || json_is_null(claim))
		return false;
	if (count == 0 || list_has(values, count, claim))
		return true;
	json_array_foreach(claim, i, item)
		if (list_has(values, count, item))
			return true;
	return false;
}

/* A NumericDate in seconds; false: it is there and is none. */
static bool date_of(const json_t *claims, const char *name, double *out)
{
	const json_t *value = json_object_get(claims, name);

	*out = json_number_value(value);
	return value == NULL || (json_is_number(value) && *out >= 0 && *out < 1e15);
}

static enum reason claims_check(const struct jwt_config *c, const json_t *claims, uint64_t now_s, uint64_t *until_s)
{
	double leeway_s = (double)c->leeway_ms / 1000, exp, nbf, now = (double)now_s;

	if (!date_of(claims, "exp", &exp) || !date_of(claims, "nbf", &nbf))
		return REASON_TOKEN_BAD;
	if (json_object_get(claims, "exp") != NULL && now >= exp + leeway_s)
		return REASON_TOKEN_EXPIRED;
	if (now + leeway_s < nbf)
		return REASON_TOKEN_BAD;
	if (c->issuer != NULL && !claim_meets(json_object_get(claims, "iss"), &(char *){ c->issuer }, 1))
		return REASON_TOKEN_BAD;
	if (c->audience_count > 0 && !claim_meets(json_object_get(claims, "aud"), c->audience, c->audience_count))
		return REASON_TOKEN_BAD;
	for (size_t i = 0; i < c->claims_count; i++)
		if (!claim_meets(json_object_get(claims, c->claims[i].name), c->claims[i].values, c->claims[i].values_count))
			return REASON_TOKEN_CLAIMS;
	*until_s = json_object_get(claims, "exp") != NULL ? (uint64_t)(exp + leeway_s) : 0;
	return REASON_NONE;
}

static void names_take(const struct jwt_rules *r, const json_t *claims, struct token_names *names)
{
	static const char *const claim_names[] = { [TOKEN_JTI] = "jti", [TOKEN_SUB] = "sub" };

	for (unsigned i = 0; i < TOKEN_NAMES; i++) {
		const json_t *value = json_object_get(claims, claim_names[i]);

		names->at[i] = json_string_length(value) == 0 ? 0 :
								token_name_hash(r->revocations, (enum token_name)i,
										json_string_value(value),
										json_string_length(value));
	}
}

bool jwt_is_revoked(const struct jwt_rules *r, const struct token_names *names, uint64_t now_s)
{
	return revoked_file_has(&r->revoked, names) || revocations_has(r->revocations, names, now_s);
}

enum reason jwt_check(const struct jwt_rules *r, const char *token, size_t len, uint64_t now_s, struct jwt *out)
{
	uint8_t room[JWT_MAX_LEN];
	json_t *header, *claims = NULL;
	struct parts p;
	enum reason why = REASON_TOKEN_BAD;

	*out = (struct jwt){ 0 };
	if (len > JWT_MAX_LEN || !split(token, len, &p))
		return REASON_TOKEN_BAD;
	header = object_decode(p.header, p.header_len, room);
	if (header != NULL && is_signed(r, header, &p, room))
		claims = object_decode(p.payload, p.payload_len, room); /* not looked at before it is known to be true */
	json_decref(header);
	if (claims != NULL)
		why = claims_check(r->config, claims, now_s, &out->until_s);
	if (why == REASON_NONE) {
		names_take(r, claims, &out->names);
		if (jwt_is_revoked(r, &out->names, now_s))
			why = REASON_TOKEN_REVOKED;
	}
	if (why == REASON_NONE)
		out->claims = claims;
	else
		json_decref(claims);
	return why;
}

void jwt_done(struct jwt *j)
{
	json_decref(j->claims);
	j->claims = NULL;
}

/* ---- claims as text ---- */

static bool scalar_print(struct str *s, const json_t *value)
{
	if (json_is_string(value))
		str_bytes(s, json_string_value(value), json_string_length(value));
	else if (json_is_integer(value) && json_integer_value(value) >= 0)
		str_dec(s, (uint64_t)json_integer_value(value));
	else if (json_is_boolean(value))
		str_cstr(s, json_is_true(value) ? "true" : "false");
	else
		return false;
	return true;
}

long jwt_claim(const struct jwt *j, const char *name, char *out, size_t cap)
{
	const json_t *value = json_object_get(j->claims, name), *item;
	struct str s;
	size_t i;

	if (value == NULL)
		return -1;
	str_init(&s, out, cap);
	if (!json_is_array(value) && !scalar_print(&s, value))
		return -1;
	json_array_foreach(value, i, item) {
		if (i > 0)
			str_char(&s, ',');
		if (!scalar_print(&s, item))
			return -1;
	}
	return s.is_cut || !http_text_is_field_value(out, s.len) ? -1 : (long)s.len;
}
