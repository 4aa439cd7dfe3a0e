#include "net/tls_sni.h"

#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 255 }; /* RFC 1035 2.3.4 */

void tls_sni_init(struct tls_sni *s)
{
	hash_map_init(&s->names);
}

void tls_sni_done(struct tls_sni *s)
{
	struct tls_sni_name *n;
	size_t cursor = 0;

	while ((n = hash_map_next(&s->names, &cursor)) != NULL)
		free(n);
	hash_map_done(&s->names);
}

/* Lower-case, without the dot at the end of a fully written name.  The length, or 0: not a name. */
static size_t name_fold(const char *in, size_t len, char out[NAME_MAX_LEN + 1])
{
	if (len > 0 && in[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_MAX_LEN || memchr(in, '\0', len) != NULL)
		return 0;
	for (size_t i = 0; i < len; i++)
		out[i] = in[i] >= 'A' && in[i] <= 'Z' ? (char)(in[i] | 0x20) : in[i];
	out[len] = '\0';
	return len;
}

/* A wildcard stands for the whole first label, and for nothing else. */
static bool is_usable(const char *name)
{
	const char *star = strchr(name, '*');

	return star == NULL ||
	       (star == name && name[1] == '.' && name[2] != '\0' && strchr(name + 1, '*') == NULL);
}

typedef bool (*name_fn)(void *user, const char *name, size_t len);

/* Calls `fn` with each usable name, folded, until it returns false; how many there were, or -1 where it did. */
static int names_each(const X509 *cert, name_fn fn, void *user)
{
	GENERAL_NAMES *alt = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char folded[NAME_MAX_LEN + 1];
	int count = 0, dns_count = 0;
	size_t len;

	for (int i = 0; alt != NULL && i < sk_GENERAL_NAME_num(alt) && count >= 0; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);

		if (g->type != GEN_DNS)
			continue;
		dns_count++;
		len = name_fold((const char *)ASN1_STRING_get0_data(g->d.dNSName),
				(size_t)ASN1_STRING_length(g->d.dNSName), folded);
		if (len > 0 && is_usable(folded))
			count = fn(user, folded, len) ? count + 1 : -1;
	}
	GENERAL_NAMES_free(alt);
	if (dns_count == 0) {
		char common[NAME_MAX_LEN + 1];
		int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, common,
						  sizeof(common));

		len = n > 0 ? name_fold(common, (size_t)n, folded) : 0;
		if (len > 0 && is_usable(folded))
			count = fn(user, folded, len) ? 1 : -1;
	}
	return count;
}

struct adding {
	struct tls_sni *sni;
	enum tls_key_type type;
	int number;
};

static bool name_add(void *user, const char *name, size_t len)
{
	struct adding *a = user;
	struct tls_sni_name *n = hash_map_find(&a->sni->names, name, len);

	if (n == NULL) {
		n = calloc(1, sizeof(*n) + len + 1);
		if (n == NULL)
			return false;
		memcpy(n->name, name, len + 1);
		for (size_t i = 0; i < TLS_KEY_TYPES; i++)
			n->choice.by_type[i] = -1;
		if (hash_map_put(&a->sni->names, n->name, len, n) != 0) {
			free(n);
			return false;
		}
	}
	if (n->choice.by_type[a->type] < 0)
		n->choice.by_type[a->type] = a->number;
	return true;
}

int tls_sni_add(struct tls_sni *s, const X509 *cert, enum tls_key_type type, int number)
{
	struct adding a = { .sni = s, .type = type, .number = number };

	return names_each(cert, name_add, &a);
}

struct common {
	const struct tls_sni *sni;
	struct tls_choice *choice;
	bool is_first;
};

static bool name_common(void *user, const char *name, size_t len)
{
	struct common *c = user;
	const struct tls_sni_name *n = hash_map_find(&c->sni->names, name, len);

	for (size_t i = 0; i < TLS_KEY_TYPES; i++) {
		int number = n == NULL ? -1 : n->choice.by_type[i];

		if (c->is_first)
			c->choice->by_type[i] = number;
		else if (c->choice->by_type[i] != number)
			c->choice->by_type[i] = -1;
	}
	c->is_first = false;
	return true;
}

void tls_sni_common(const struct tls_sni *s, const X509 *cert, enum tls_key_type type, int number,
		    struct tls_choice *out)
{
	struct common c = { .sni = s, .choice = out, .is_first = true };

	for (size_t i = 0; i < TLS_KEY_TYPES; i++)
		out->by_type[i] = -1;
	names_each(cert, name_common, &c);
	out->by_type[type] = number;
}

struct tls_sni_name *tls_sni_next(const struct tls_sni *s, size_t *cursor)
{
	return hash_map_next(&s->names, cursor);
}

struct tls_sni_name *tls_sni_find(const struct tls_sni *s, const char *name)
{
	char folded[NAME_MAX_LEN + 1];
	size_t len = name_fold(name, strnlen(name, NAME_MAX_LEN + 2), folded);
	struct tls_sni_name *n;
	char *dot;

	if (len == 0)
		return NULL;
	n = hash_map_find(&s->names, folded, len);
	if (n != NULL)
		return n;
	/* "*.example.com" over the first label: it is written over the byte before the dot, so there must be one */
	dot = memchr(folded, '.', len);
	if (dot == NULL || dot == folded)
		return NULL;
	dot[-1] = '*';
	return hash_map_find(&s->names, dot - 1, len - (size_t)(dot - 1 - folded));
}
