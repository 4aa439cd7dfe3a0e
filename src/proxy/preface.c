#include "proxy/preface.h"

#include "wire/proxy_protocol.h"

#include <string.h>

static void ip_set(const struct addr *a, bool as_ipv6, uint8_t ip[16], uint16_t *port)
{
	memset(ip, 0, 16);
	*port = addr_port(a);
	if (a->sa.sa_family == AF_INET6) {
		memcpy(ip, &a->in6.sin6_addr, 16);
	} else if (as_ipv6) { /* a pair is of one family */
		ip[10] = ip[11] = 0xff;
		memcpy(ip + 12, &a->in.sin_addr, 4);
	} else {
		memcpy(ip, &a->in.sin_addr, 4);
	}
}

static bool is_ip(const struct addr *a)
{
	return a->len > 0 && (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6);
}

uint32_t preface_write(char out[PREFACE_MAX], const struct cluster_config *c, const struct addr *peer,
		       const struct addr *local)
{
	struct pp_header h = { .transport = PP_TRANSPORT_STREAM };
	bool v6;
	int len;

	if (c->proxy_protocol == PROXY_PROTOCOL_OUT_OFF)
		return 0;
	if (is_ip(peer) && is_ip(local)) {
		v6 = peer->sa.sa_family == AF_INET6 || local->sa.sa_family == AF_INET6;
		/* A listener on every address does not say which one it was. */
		if (v6 && peer->sa.sa_family == AF_INET && IN6_IS_ADDR_UNSPECIFIED(&local->in6.sin6_addr))
			v6 = false;
		h.family = v6 ? PP_FAMILY_INET6 : PP_FAMILY_INET;
		ip_set(peer, v6, h.src_ip, &h.src_port);
		if (v6 || local->sa.sa_family == AF_INET)
			ip_set(local, v6, h.dst_ip, &h.dst_port);
		else
			h.dst_port = addr_port(local);
	} else {
		h.is_local = true;
	}
	len = c->proxy_protocol == PROXY_PROTOCOL_OUT_V1 ?
		      pp_write_v1((uint8_t *)out, PREFACE_MAX, &h) :
		      pp_write_v2((uint8_t *)out, PREFACE_MAX, &h, NULL, 0, false);
	return len > 0 ? (uint32_t)len : 0;
}
