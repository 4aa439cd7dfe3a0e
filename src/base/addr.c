#include "base/addr.h"

#include "base/hash.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#define PATH_MAX_LEN (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint32_t value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (value > (max - (uint32_t)(*text - '0')) / 10)
			return -EINVAL;
		value = value * 10 + (uint32_t)(*text - '0');
	}
	*out = value;
	return 0;
}

static int parse_unix(struct addr *out, const char *path)
{
	size_t len = strlen(path);

	if (len == 0 || len > PATH_MAX_LEN || strcmp(path, "@") == 0)
		return -EINVAL;
	*out = (struct addr){ 0 };
	out->un.sun_family = AF_UNIX;
	memcpy(out->un.sun_path, path, len);
	if (path[0] == '@') {
		/* the abstract name space has no NUL at the end: all of len counts (unix(7)) */
		out->un.sun_path[0] = '\0';
		out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	} else {
		out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	}
	return 0;
}

/* The host of an IPv6 address, with a zone (RFC 4007 11) where it has one. */
static int parse_v6(struct addr *out, char *host)
{
	char *zone = strchr(host, '%');
	uint32_t scope = 0;

	if (zone != NULL) {
		*zone++ = '\0';
		if (parse_number(zone, UINT32_MAX, &scope) != 0)
			scope = if_nametoindex(zone);
		if (scope == 0)
			return -EINVAL;
	}
	out->len = sizeof(out->in6);
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_scope_id = scope;
	return inet_pton(AF_INET6, host, &out->in6.sin6_addr) == 1 ? 0 : -EINVAL;
}

int addr_parse(struct addr *out, const char *text)
{
	struct addr a = { 0 };
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	const char *colon, *from = text;
	size_t len;
	uint32_t port;
	int err;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(out, text + 5);
	colon = strrchr(text, ':');
	if (colon == NULL || strlen(colon + 1) > 5 || parse_number(colon + 1, 65535, &port) != 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		from = text + 1;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, from, len);
	host[len] = '\0';
	if (from != text) {
		err = parse_v6(&a, host);
	} else if (strcmp(host, "*") == 0) {
		a.len = sizeof(a.in6);
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_addr = in6addr_any;
		err = 0;
	} else {
		a.len = sizeof(a.in);
		a.in.sin_family = AF_INET;
		err = inet_pton(AF_INET, host, &a.in.sin_addr) == 1 ? 0 : -EINVAL;
	}
	if (err != 0)
		return err;
	addr_set_port(&a, (uint16_t)port);
	*out = a;
	return 0;
}

/* The bytes of the path; 0 for an unnamed socket.  The kernel's length may or may not count a NUL. */
static size_t unix_path_len(const struct addr *a)
{
	size_t len = a->len;

	if (len <= offsetof(struct sockaddr_un, sun_path))
		return 0;
	len -= offsetof(struct sockaddr_un, sun_path);
	if (len > sizeof(a->un.sun_path))
		len = sizeof(a->un.sun_path);
	return a->un.sun_path[0] == '\0' ? len : strnlen(a->un.sun_path, len);
}

static void put_unix(struct str *s, const struct addr *a)
{
	size_t len = unix_path_len(a);

	str_cstr(s, "unix:");
	for (size_t i = 0; i < len; i++)
		str_char(s, a->un.sun_path[i] == '\0' ? '@' : a->un.sun_path[i]);
}

static void put_host(struct str *s, const struct addr *a)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
	str_cstr(s, text);
	if (a->sa.sa_family == AF_INET6 && a->in6.sin6_scope_id != 0) {
		str_char(s, '%');
		str_dec(s, a->in6.sin6_scope_id);
	}
}

size_t addr_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	struct str s;
	bool is_v6 = a->sa.sa_family == AF_INET6;

	str_init(&s, out, ADDR_TEXT_MAX);
	if (a->len == 0) {
		str_char(&s, '-');
	} else if (a->sa.sa_family == AF_UNIX) {
		put_unix(&s, a);
	} else if (is_v6 || a->sa.sa_family == AF_INET) {
		if (is_v6)
			str_char(&s, '[');
		put_host(&s, a);
		if (is_v6)
			str_char(&s, ']');
		str_char(&s, ':');
		str_dec(&s, addr_port(a));
	} else {
		str_char(&s, '?');
	}
	str_text(&s);
	return s.len;
}

size_t addr_print_host(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	struct addr plain = *a;
	struct str s;

	addr_unmap(&plain);
	str_init(&s, out, ADDR_TEXT_MAX);
	if (plain.len == 0)
		str_char(&s, '-');
	else if (plain.sa.sa_family == AF_UNIX)
		str_cstr(&s, "unix:");
	else if (plain.sa.sa_family == AF_INET || plain.sa.sa_family == AF_INET6)
		put_host(&s, &plain);
	else
		str_char(&s, '?');
	str_text(&s);
	return s.len;
}

void addr_unmap(struct addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (a->len < sizeof(a->in6) || a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in.sin_port = a->in6.sin6_port;
	memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
	*a = (struct addr){ .len = sizeof(in) };
	a->in = in;
}

uint16_t addr_port(const struct addr *a)
{
	if (a->len == 0)
		return 0;
	if (a->sa.sa_family == AF_INET)
		return ntohs(a->in.sin_port);
	if (a->sa.sa_family == AF_INET6)
		return ntohs(a->in6.sin6_port);
	return 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->len == 0)
		return;
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

/* What makes an address the same as another, without padding, flow labels and NULs. */
struct addr_key {
	uint8_t bytes[2 + sizeof(((struct sockaddr_un *)0)->sun_path)];
	size_t len;
};

static void key_add(struct addr_key *k, const void *bytes, size_t len)
{
	memcpy(k->bytes + k->len, bytes, len);
	k->len += len;
}

static void key_of(const struct addr *a, struct addr_key *k)
{
	k->len = 0;
	if (a->len == 0)
		return;
	key_add(k, &a->sa.sa_family, sizeof(a->sa.sa_family));
	if (a->sa.sa_family == AF_INET) {
		key_add(k, &a->in.sin_port, sizeof(a->in.sin_port));
		key_add(k, &a->in.sin_addr, sizeof(a->in.sin_addr));
	} else if (a->sa.sa_family == AF_INET6) {
		key_add(k, &a->in6.sin6_port, sizeof(a->in6.sin6_port));
		key_add(k, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
		key_add(k, &a->in6.sin6_scope_id, sizeof(a->in6.sin6_scope_id));
	} else if (a->sa.sa_family == AF_UNIX) {
		key_add(k, a->un.sun_path, unix_path_len(a));
	}
}

bool addr_is_equal(const struct addr *a, const struct addr *b)
{
	struct addr_key ka, kb;

	key_of(a, &ka);
	key_of(b, &kb);
	return ka.len == kb.len && memcmp(ka.bytes, kb.bytes, ka.len) == 0;
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
	struct addr_key k;

	key_of(a, &k);
	return hash64(k.bytes, k.len, seed);
}
