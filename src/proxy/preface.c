#include "proxy/preface.h"

#include "wire/proxy_protocol.h"

#include <stdlib.h>
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

static void addresses_set(struct pp_header *h, const struct addr *peer, const struct addr *local)
{
	bool v6;

	if (!is_ip(peer) || !is_ip(local)) {
		h->is_local = true;
		return;
	}
	v6 = peer->sa.sa_family == AF_INET6 || local->sa.sa_family == AF_INET6;
	/* A listener on every address does not say which one it was. */
	if (v6 && peer->sa.sa_family == AF_INET && IN6_IS_ADDR_UNSPECIFIED(&local->in6.sin6_addr))
		v6 = false;
	h->family = v6 ? PP_FAMILY_INET6 : PP_FAMILY_INET;
	ip_set(peer, v6, h->src_ip, &h->src_port);
	if (v6 || local->sa.sa_family == AF_INET)
		ip_set(local, v6, h->dst_ip, &h->dst_port);
	else
		h->dst_port = addr_port(local);
}

static struct pp_tlv text_tlv(enum pp_tlv_type type, const char *text)
{
	size_t len = strlen(text);

	return (struct pp_tlv){ (uint8_t)type, (uint16_t)(len < 255 ? len : 255), (const uint8_t *)text };
}

static bool is_said(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static int v2_write(uint8_t *out, const struct pp_header *h, const struct preface_from *from)
{
	struct pp_tlv tlvs[3];
	uint8_t ssl[64];
	size_t count = 0;

	if (is_said(from->alpn))
		tlvs[count++] = text_tlv(PP_TLV_ALPN, from->alpn);
	if (is_said(from->sni))
		tlvs[count++] = text_tlv(PP_TLV_AUTHORITY, from->sni);
	if (is_said(from->tls_version)) {
		const struct pp_tlv version = text_tlv(PP_TLV_SSL_VERSION, from->tls_version);
		uint8_t client = PP_SSL_CLIENT_SSL;
		int len;

		if (from->has_certificate)
			client |= PP_SSL_CLIENT_CERT_CONN | PP_SSL_CLIENT_CERT_SESS;
		/* 0: verified; who showed no certificate is not */
		len = pp_ssl_write(ssl, sizeof(ssl), client, from->has_certificate ? 0 : 1, &version, 1);
		if (len > 0)
			tlvs[count++] = (struct pp_tlv){ PP_TLV_SSL, (uint16_t)len, ssl };
	}
	return pp_write_v2(out, PREFACE_MAX, h, tlvs, count, false);
}

bool preface_make(struct preface *p, const struct cluster_config *c, const struct preface_from *from)
{
	struct pp_header h = { .transport = PP_TRANSPORT_STREAM };
	uint8_t out[PREFACE_MAX];
	int len;

	*p = (struct preface){ NULL, 0 };
	if (c->proxy_protocol == PROXY_PROTOCOL_OUT_OFF)
		return true;
	addresses_set(&h, from->peer, from->local);
	len = c->proxy_protocol == PROXY_PROTOCOL_OUT_V1 ? pp_write_v1(out, sizeof(out), &h) : v2_write(out, &h, from);
	if (len <= 0)
		return false;
	p->bytes = malloc((size_t)len);
	if (p->bytes == NULL)
		return false;
	memcpy(p->bytes, out, (size_t)len);
	p->len = (uint32_t)len;
	return true;
}

void preface_done(struct preface *p)
{
	free(p->bytes);
	*p = (struct preface){ NULL, 0 };
}
