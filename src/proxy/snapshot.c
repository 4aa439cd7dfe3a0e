#include "proxy/snapshot.h"

#include "cluster/pool.h"
#include "config/errors.h"
#include "net/tls_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAULT_MAX 640

static void add_error(struct config_errors *errors, const struct config *config, struct config_place at,
		      const char *kind, const char *name, const char *fault)
{
	config_errors_add(errors, config->file, at.line, at.column, false, "%s \"%s\": %s", kind, name, fault);
}

static void add_no_memory(struct config_errors *errors, const struct config *config)
{
	config_errors_add(errors, config->file, 0, 0, false, "out of memory");
}

/* ---- listeners ---- */

/* What HTTP listeners offer: a client that is promised h2 would speak it. */
static size_t alpn_of(const struct listener_config *l, const char **names)
{
	size_t count = 0;

	for (size_t i = 0; i < l->tls->alpn_count; i++)
		if (l->protocol != LISTENER_HTTP || strcmp(l->tls->alpn[i], "h2") != 0)
			names[count++] = l->tls->alpn[i];
	return count;
}

static void server_options(struct tls_server_options *o, const struct listener_tls *t,
			   struct tls_tickets *tickets)
{
	static const enum tls_client_auth auth[] = {
		[CLIENT_AUTH_OFF] = TLS_CLIENT_AUTH_OFF,
		[CLIENT_AUTH_OPTIONAL] = TLS_CLIENT_AUTH_OPTIONAL,
		[CLIENT_AUTH_REQUIRE] = TLS_CLIENT_AUTH_REQUIRE,
	};

	o->rejects_unknown = t->unknown_sni == TLS_UNKNOWN_REJECT;
	o->min_version = t->min_version == TLS_MIN_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_1_2;
	o->ciphers = t->ciphers;
	o->ciphersuites = t->ciphersuites;
	o->curves = t->curves;
	if (t->client_auth != NULL) {
		o->client_auth = auth[t->client_auth->mode];
		o->client_ca = t->client_auth->ca;
	}
	if (t->session_tickets != NULL)
		o->tickets = tickets;
	if (t->ocsp_stapling != NULL)
		o->ocsp_file = t->ocsp_stapling->file;
}

/* A context tells its first fault only: each pair is tried by itself, so that one run finds all.  What is told twice is
 * there once after config_errors_sort(). */
static void add_certificate_errors(const struct config *config, const struct listener_config *l,
				   const struct tls_server_options *of, struct config_errors *errors)
{
	char fault[FAULT_MAX];

	for (size_t i = 0; i < of->certificates_count; i++) {
		const struct tls_server_options alone = { .certificates = &of->certificates[i],
							  .certificates_count = 1 };
		struct tls_context *c = tls_context_new_server(&alone, fault, sizeof(fault), NULL);

		if (c == NULL)
			add_error(errors, config, i < l->tls->certificates_count ? l->tls->certificates[i].place : l->place,
				  "listener", l->name, fault);
		tls_context_unref(c);
	}
}

static void warn_of_expiry(const struct config *config, const struct listener_config *l,
			   const struct tls_context *c, struct config_errors *errors)
{
	int64_t expiry_s = tls_context_expiry(c);

	if (expiry_s != 0 && expiry_s <= (int64_t)time(NULL))
		config_errors_add(errors, config->file, l->place.line, l->place.column, true,
				  "listener \"%s\": a certificate has expired", l->name);
}

/* Those of the file, then those of the directory; free() the list.  NULL: errors were added. */
static struct tls_certificate_files *certificates_of(const struct config *config, const struct listener_config *l,
						     const struct tls_directory *d, size_t *count,
						     struct config_errors *errors)
{
	const struct listener_tls *t = l->tls;
	struct tls_certificate_files *files = calloc(t->certificates_count + d->count + 1, sizeof(*files));

	if (files == NULL) {
		add_no_memory(errors, config);
		return NULL;
	}
	for (size_t i = 0; i < t->certificates_count; i++)
		files[i] = (struct tls_certificate_files){ t->certificates[i].cert, t->certificates[i].key };
	for (size_t i = 0; i < d->count; i++)
		files[t->certificates_count + i] = d->files[i];
	*count = t->certificates_count + d->count;
	return files;
}

static struct tls_context *context_make(const struct config *config, const struct listener_config *l,
					const struct tls_server_options *o, struct config_errors *errors)
{
	char fault[FAULT_MAX];
	struct tls_context *c = tls_context_new_server(o, fault, sizeof(fault), NULL);
	size_t before;

	if (c != NULL) {
		warn_of_expiry(config, l, c, errors);
		return c;
	}
	before = errors->errors_count;
	add_certificate_errors(config, l, o, errors);
	if (errors->errors_count == before) /* it is none of them */
		add_error(errors, config, l->place, "listener", l->name, fault);
	return NULL;
}

static struct tls_context *server_context(const struct config *config, const struct listener_config *l,
					  struct tls_tickets *tickets, struct config_errors *errors)
{
	const struct listener_tls *t = l->tls;
	const char **alpn = calloc(t->alpn_count + 1, sizeof(*alpn));
	struct tls_directory directory = { NULL, 0 };
	struct tls_certificate_files *files = NULL;
	struct tls_server_options o = { .alpn = alpn };
	struct tls_context *c = NULL;
	char fault[FAULT_MAX];

	if (alpn == NULL)
		add_no_memory(errors, config);
	else if (t->certificate_dir != NULL && !tls_directory_read(&directory, t->certificate_dir, fault, sizeof(fault)))
		add_error(errors, config, l->place, "listener", l->name, fault);
	else
		files = certificates_of(config, l, &directory, &o.certificates_count, errors);
	if (files != NULL) {
		o.certificates = files;
		o.alpn_count = alpn_of(l, alpn);
		server_options(&o, t, tickets);
		c = context_make(config, l, &o, errors);
	}
	free(files);
	free(alpn);
	tls_directory_done(&directory);
	return c;
}

/* The process has one set of ticket keys: the first listener that names a file for them has it. */
static void load_tickets(const struct config *config, struct tls_tickets *tickets, struct config_errors *errors)
{
	char fault[FAULT_MAX];

	for (size_t i = 0; i < config->listeners_count; i++) {
		const struct listener_config *l = &config->listeners[i];

		if (l->tls == NULL || l->tls->session_tickets == NULL || l->tls->session_tickets->key_file == NULL)
			continue;
		if (!tls_tickets_load(tickets, l->tls->session_tickets->key_file, fault, sizeof(fault)))
			add_error(errors, config, l->place, "listener", l->name, fault);
		return;
	}
	tls_tickets_unload(tickets);
}

static void make_listeners(struct snapshot *s, const struct snapshot_sources *sources,
			   struct config_errors *errors)
{
	const struct config *config = s->config;

	for (size_t i = 0; i < config->listeners_count; i++) {
		const struct listener_config *l = &config->listeners[i];

		if (l->tls != NULL)
			s->listener_tls[i] = server_context(config, l, sources->tickets, errors);
		else if (sources->own_tls_listener != NULL && strcmp(l->name, sources->own_tls_listener) == 0)
			s->listener_tls[i] = tls_context_ref(sources->own_tls);
	}
}

/* ---- clusters ---- */

static struct tls_context *client_context(const struct config *config, const struct cluster_config *c,
					  struct config_errors *errors)
{
	const struct tls_client_options o = { .verify = c->tls->verify,
					      .ca = c->tls->ca,
					      .client_cert = c->tls->client_cert,
					      .client_key = c->tls->client_key };
	char fault[FAULT_MAX];
	struct tls_context *made = tls_context_new_client(&o, fault, sizeof(fault), NULL);

	if (made == NULL)
		add_error(errors, config, c->place, "cluster", c->name, fault);
	return made;
}

static void check_secret(const struct config *config, const struct cluster_config *c, struct config_errors *errors)
{
	const struct affinity_cookie *cookie = c->affinity.cookie;
	uint8_t secret[STICKY_SECRET_LEN];
	char fault[FAULT_MAX];
	const char *error;

	if (cookie == NULL || cookie->secret_file == NULL)
		return;
	error = sticky_secret_read(cookie->secret_file, secret);
	if (error == NULL)
		return;
	snprintf(fault, sizeof(fault), "%.400s: %s", cookie->secret_file, error);
	add_error(errors, config, c->place, "cluster", c->name, fault);
}

static void make_cluster_contexts(struct snapshot *s, struct config_errors *errors)
{
	for (size_t i = 0; i < s->config->clusters_count; i++) {
		const struct cluster_config *c = &s->config->clusters[i];

		if (c->tls != NULL)
			s->clusters[i].tls = client_context(s->config, c, errors);
		check_secret(s->config, c, errors);
		s->clusters[i].kind = cluster_connection_kind(c);
	}
}

/* Last, and only for a snapshot that is good so far: it looks up names, which takes its time. */
static bool make_views(struct snapshot *s, struct clusters *clusters, const struct snapshot *old)
{
	for (size_t i = 0; i < s->config->clusters_count; i++) {
		s->clusters[i].view = old != NULL ? cluster_view_again(clusters, old->clusters[i].view) :
						    cluster_view_new(clusters, &s->config->clusters[i]);
		if (s->clusters[i].view == NULL)
			return false;
	}
	return true;
}

/* ---- the whole ---- */

static void snapshot_free(struct snapshot *s)
{
	for (size_t i = 0; s->listener_tls != NULL && i < s->config->listeners_count; i++)
		tls_context_unref(s->listener_tls[i]);
	for (size_t i = 0; s->clusters != NULL && i < s->config->clusters_count; i++) {
		cluster_view_free(s->clusters[i].view);
		tls_context_unref(s->clusters[i].tls);
	}
	free(s->listener_tls);
	free(s->clusters);
	guard_free(s->guard);
	config_unref(s->config);
	free(s);
}

struct snapshot *snapshot_new(struct config *config, const struct snapshot_sources *sources,
			      struct config_errors *errors)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	size_t errors_before = errors->errors_count;

	if (s == NULL) {
		add_no_memory(errors, config);
		return NULL;
	}
	atomic_init(&s->refcount, 1);
	s->config = config_ref(config);
	s->listener_tls = calloc(config->listeners_count + 1, sizeof(*s->listener_tls));
	s->clusters = calloc(config->clusters_count + 1, sizeof(*s->clusters));
	if (s->listener_tls == NULL || s->clusters == NULL) {
		add_no_memory(errors, config);
	} else {
		make_listeners(s, sources, errors);
		load_tickets(config, sources->tickets, errors);
		make_cluster_contexts(s, errors);
		s->guard = guard_new(config, sources->limits, sources->revocations, errors);
		if (errors->errors_count == errors_before && !make_views(s, sources->clusters, NULL))
			add_no_memory(errors, config);
	}
	config_errors_sort(errors);
	if (errors->errors_count > errors_before) {
		snapshot_free(s);
		return NULL;
	}
	return s;
}

struct snapshot *snapshot_again(const struct snapshot *old, struct clusters *clusters)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	atomic_init(&s->refcount, 1);
	s->config = config_ref(old->config);
	s->guard = guard_ref(old->guard);
	s->listener_tls = calloc(s->config->listeners_count + 1, sizeof(*s->listener_tls));
	s->clusters = calloc(s->config->clusters_count + 1, sizeof(*s->clusters));
	if (s->listener_tls == NULL || s->clusters == NULL)
		goto fail;
	for (size_t i = 0; i < s->config->listeners_count; i++)
		if (old->listener_tls[i] != NULL)
			s->listener_tls[i] = tls_context_ref(old->listener_tls[i]);
	for (size_t i = 0; i < s->config->clusters_count; i++) {
		s->clusters[i].kind = old->clusters[i].kind;
		if (old->clusters[i].tls != NULL)
			s->clusters[i].tls = tls_context_ref(old->clusters[i].tls);
	}
	if (!make_views(s, clusters, old))
		goto fail;
	return s;
fail:
	snapshot_free(s);
	return NULL;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add_explicit(&s->refcount, 1, memory_order_relaxed);
	return s;
}

void snapshot_unref(struct snapshot *s)
{
	/* What other threads did with it is over before it is freed here. */
	if (s != NULL && atomic_fetch_sub_explicit(&s->refcount, 1, memory_order_acq_rel) == 1)
		snapshot_free(s);
}
