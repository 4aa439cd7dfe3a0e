/* GET /metrics: everything that is counted, as Prometheus reads it (text format 0.0.4).
 *
 * Counters come from the rows of their floors; gauges from a report of each worker, the snapshot in force and the
 * kernel.  Names and labels do not depend on what clients send. */
#include "control/admin_commands.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/reasons.h"
#include "cluster/queue.h"
#include "cluster/roster.h"
#include "control/control.h"
#include "control/gather.h"
#include "proxy/counters.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)16 << 20)
#define TYPE	 "text/plain; version=0.0.4; charset=utf-8"

/* ---- lines ---- */

static void family(struct str *s, const char *name, const char *type, const char *help)
{
	str_cstr(s, "# HELP holdfast_");
	str_cstr(s, name);
	str_char(s, ' ');
	str_cstr(s, help);
	str_cstr(s, "\n# TYPE holdfast_");
	str_cstr(s, name);
	str_char(s, ' ');
	str_cstr(s, type);
	str_char(s, '\n');
}

/* Opens a sample; labels are put between, value() ends it. */
static void sample(struct str *s, const char *name)
{
	str_cstr(s, "holdfast_");
	str_cstr(s, name);
}

static void label(struct str *s, bool is_first, const char *name, const char *value)
{
	str_char(s, is_first ? '{' : ',');
	str_cstr(s, name);
	str_cstr(s, "=\"");
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			str_char(s, '\\');
		if (*value == '\n')
			str_cstr(s, "\\n");
		else
			str_char(s, *value);
	}
	str_char(s, '"');
}

static void value(struct str *s, uint64_t n)
{
	str_char(s, ' ');
	str_dec(s, n);
	str_char(s, '\n');
}

static void one(struct str *s, const char *name, const char *type, const char *help, uint64_t n)
{
	family(s, name, type, help);
	sample(s, name);
	value(s, n);
}

static void seconds(struct str *s, const char *name, const char *type, const char *help, uint64_t us)
{
	family(s, name, type, help);
	sample(s, name);
	str_char(s, ' ');
	str_dec_point(s, us, 6);
	str_char(s, '\n');
}

/* ---- what the floors count ---- */

struct rows_writer {
	struct str *out;
	const char *last; /* rows of one name stand together */
};

static void write_row(const struct counter_row *row, uint64_t sum, void *user)
{
	struct rows_writer *w = user;

	if (w->last == NULL || strcmp(w->last, row->name) != 0)
		family(w->out, row->name, row->is_gauge ? "gauge" : "counter", row->help);
	w->last = row->name;
	sample(w->out, row->name);
	if (row->labels != NULL) {
		str_char(w->out, '{');
		str_cstr(w->out, row->labels);
		str_char(w->out, '}');
	}
	value(w->out, sum);
}

static void write_reasons(struct str *s, const char *name, const char *help, unsigned first)
{
	family(s, name, "counter", help);
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		if (reason_of((enum reason)i) == reason_of(REASON_INTERNAL) && i != REASON_INTERNAL)
			continue; /* a row that is not filled in */
		sample(s, name);
		label(s, true, "reason", reason_of((enum reason)i)->word);
		str_char(s, '}');
		value(s, counter_sum(first + i));
	}
}

static void write_closes(struct str *s)
{
	family(s, "websocket_closes_total", "counter", "WebSockets that ended, by close code and who began it.");
	for (unsigned i = 0; i < PROXY_CLOSE_CODES * PROXY_CLOSE_INITIATORS; i++) {
		char code[8];
		uint64_t n = counter_sum(COUNTERS_CLOSES + i);

		proxy_close_code_print(i % PROXY_CLOSE_CODES, code);
		if (n == 0 && i % PROXY_CLOSE_CODES > 2)
			continue; /* the usual ones are always there */
		sample(s, "websocket_closes_total");
		label(s, true, "code", code);
		label(s, false, "initiator", proxy_close_initiator(i / PROXY_CLOSE_CODES));
		str_char(s, '}');
		value(s, n);
	}
}

static void histogram_labels(struct str *s, const struct histogram_row *row, const char *bound)
{
	if (row->labels == NULL && bound == NULL)
		return;
	str_char(s, '{');
	if (row->labels != NULL)
		str_cstr(s, row->labels);
	if (row->labels != NULL && bound != NULL)
		str_char(s, ',');
	if (bound != NULL) {
		str_cstr(s, "le=\"");
		str_cstr(s, bound);
		str_char(s, '"');
	}
	str_char(s, '}');
}

static void write_histogram(struct str *s, enum histogram h)
{
	const struct histogram_row *row = &histogram_rows[h];
	unsigned bounds = row->is_size ? HISTOGRAM_SIZE_BOUNDS : HISTOGRAM_BOUNDS;
	struct histogram_sum sum;
	char bound[32];
	struct str b;

	histogram_read(h, &sum);
	if (h == 0 || strcmp(row->name, histogram_rows[h - 1].name) != 0)
		family(s, row->name, "histogram", row->help);
	for (unsigned i = 0; i <= bounds; i++) {
		str_init(&b, bound, sizeof(bound));
		if (i == bounds)
			str_cstr(&b, "+Inf");
		else if (row->is_size)
			str_dec(&b, histogram_size_bound(i));
		else
			str_dec_point(&b, histogram_bounds_us[i], 6);
		bound[b.len] = '\0';
		sample(s, row->name);
		str_cstr(s, "_bucket");
		histogram_labels(s, row, bound);
		value(s, i < bounds ? sum.upto[i] : sum.count);
	}
	sample(s, row->name);
	str_cstr(s, "_sum");
	histogram_labels(s, row, NULL);
	str_char(s, ' ');
	if (row->is_size)
		str_dec(s, sum.sum);
	else
		str_dec_point(s, sum.sum, 6);
	str_char(s, '\n');
	sample(s, row->name);
	str_cstr(s, "_count");
	histogram_labels(s, row, NULL);
	value(s, sum.count);
}

/* ---- connections ---- */

static void write_connection(struct str *s, const char *listener, const char *kind, uint64_t n)
{
	sample(s, "connections");
	label(s, true, "listener", listener);
	label(s, false, "kind", kind);
	str_char(s, '}');
	value(s, n);
}

static void write_listeners(struct str *s, const struct gather *g)
{
	struct report_listener rows[256];
	uint32_t count = gather_listeners(g, rows, ARRAY_LEN(rows));

	family(s, "connections", "gauge", "Open client connections.");
	for (uint32_t i = 0; i < count; i++) {
		if (rows[i].is_tcp) {
			write_connection(s, rows[i].name, "tcp", rows[i].clients);
			continue;
		}
		write_connection(s, rows[i].name, "http", rows[i].clients - rows[i].websockets);
		write_connection(s, rows[i].name, "websocket", rows[i].websockets);
	}
}

static const struct {
	const char *name, *type, *help;
	size_t at; /* of a uint64_t in struct worker_report */
} ring_rows[] = {
	{ "ring_turns_total", "counter", "Turns of the event loop.", offsetof(struct worker_report, turns) },
	{ "ring_completions_total", "counter", "Completions that the kernel has posted.",
	  offsetof(struct worker_report, completions) },
	{ "ring_cq_overflows_total", "counter", "Turns that found the completion queue overrun.",
	  offsetof(struct worker_report, cq_overflows) },
	{ "ring_sq_full_total", "counter", "Submissions in mid-turn because the queue was full.",
	  offsetof(struct worker_report, sq_full) },
	{ "ring_buffers_starved_total", "counter", "Receives that found no buffer.",
	  offsetof(struct worker_report, buffers_starved) },
	{ "receive_buffers", "gauge", "Receive buffers that exist.", offsetof(struct worker_report, buffers) },
	{ "receive_buffers_taken", "gauge", "Receive buffers in use.", offsetof(struct worker_report, buffers_taken) },
	{ "receive_buffer_bytes", "gauge", "Memory of all receive buffers.",
	  offsetof(struct worker_report, buffer_bytes) },
	{ "queued_bytes", "gauge", "Bytes that wait to leave, to clients and endpoints.",
	  offsetof(struct worker_report, queued_bytes) },
	{ "connection_memory_bytes", "gauge", "Memory of connections, requests and streams.",
	  offsetof(struct worker_report, slab_bytes) },
};

static void write_workers(struct str *s, const struct gather *g)
{
	for (size_t i = 0; i < ARRAY_LEN(ring_rows); i++) {
		family(s, ring_rows[i].name, ring_rows[i].type, ring_rows[i].help);
		for (unsigned w = 0; w < g->count; w++) {
			uint64_t n;
			char index[12];

			memcpy(&n, (const char *)&g->parts[w].report + ring_rows[i].at, sizeof(n));
			snprintf(index, sizeof(index), "%u", w);
			sample(s, ring_rows[i].name);
			label(s, true, "worker", index);
			str_char(s, '}');
			value(s, n);
		}
	}
}

/* ---- clusters ---- */

/* Ports that are left towards one endpoint: the kernel's range, less what is in use to it, for each address it may
 * be connected from. */
static uint64_t ports_of_range(void)
{
	unsigned low = 32768, high = 60999;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f != NULL) {
		if (fscanf(f, "%u %u", &low, &high) != 2 || high < low) {
			low = 32768;
			high = 60999;
		}
		fclose(f);
	}
	return high - low + 1;
}

static uint64_t endpoint_up(const struct endpoint_row *e)
{
	return e->is_usable;
}

static uint64_t endpoint_healthy(const struct endpoint_row *e)
{
	return e->health != ENDPOINT_DOWN;
}

static uint64_t endpoint_ejected(const struct endpoint_row *e)
{
	return e->ejected_for_ms > 0;
}

static uint64_t endpoint_ejections(const struct endpoint_row *e)
{
	return e->ejections;
}

static uint64_t endpoint_draining(const struct endpoint_row *e)
{
	return e->mode == ENDPOINT_DRAINING || e->leaving != REASON_NONE;
}

static uint64_t endpoint_disabled(const struct endpoint_row *e)
{
	return e->mode == ENDPOINT_DISABLED;
}

static uint64_t endpoint_shed(const struct endpoint_row *e)
{
	return e->shed_left;
}

static uint64_t endpoint_active(const struct endpoint_row *e)
{
	return e->active;
}

static uint64_t endpoint_pending(const struct endpoint_row *e)
{
	return e->pending;
}

static uint64_t endpoint_idle(const struct endpoint_row *e)
{
	return e->idle;
}

static uint64_t endpoint_limit(const struct endpoint_row *e)
{
	return e->max_connections;
}

static uint64_t endpoint_total(const struct endpoint_row *e)
{
	return e->total;
}

static uint64_t endpoint_failures(const struct endpoint_row *e)
{
	return e->failures;
}

static uint64_t endpoint_weight(const struct endpoint_row *e)
{
	return e->weight;
}

/* Set for each answer: one file is read, not one for each endpoint. */
static uint64_t ports_all;

static bool has_ports(const struct endpoint_row *e)
{
	return e->addr.len > 0 && e->addr.sa.sa_family != AF_UNIX;
}

static uint64_t endpoint_ports(const struct endpoint_row *e)
{
	uint64_t all = ports_all * e->sources_count, used = e->active + e->idle;

	return all > used ? all - used : 0;
}

static const struct {
	const char *name, *type, *help;
	uint64_t (*read)(const struct endpoint_row *);
	bool (*is_told)(const struct endpoint_row *); /* NULL: of all */
} endpoint_rows[] = {
	{ "endpoint_up", "gauge", "1 while an endpoint may be picked.", endpoint_up, NULL },
	{ "endpoint_healthy", "gauge", "0 while active checks find an endpoint unhealthy.", endpoint_healthy, NULL },
	{ "endpoint_ejected", "gauge", "1 while an endpoint is put aside for its failures.", endpoint_ejected, NULL },
	{ "endpoint_ejections_total", "counter", "How often an endpoint was put aside.", endpoint_ejections, NULL },
	{ "endpoint_draining", "gauge", "1 while an endpoint leaves: nothing new for it.", endpoint_draining, NULL },
	{ "endpoint_disabled", "gauge", "1 while an endpoint is disabled.", endpoint_disabled, NULL },
	{ "endpoint_rebalance_connections", "gauge", "Connections that a rebalancing has yet to close.", endpoint_shed, NULL },
	{ "endpoint_connections", "gauge", "Connections and requests that an endpoint serves.", endpoint_active, NULL },
	{ "endpoint_pending", "gauge", "Of these, those without an answer, where max_pending is set.", endpoint_pending, NULL },
	{ "endpoint_idle_connections", "gauge", "Connections to an endpoint that wait for a request.", endpoint_idle, NULL },
	{ "endpoint_connections_max", "gauge", "max_connections of an endpoint; 0 is no limit.", endpoint_limit, NULL },
	{ "endpoint_connections_total", "counter", "Connections and requests that went to an endpoint.", endpoint_total, NULL },
	{ "endpoint_failures_total", "counter", "Connects that failed, and ends before a response.", endpoint_failures, NULL },
	{ "endpoint_weight", "gauge", "The share of an endpoint.", endpoint_weight, NULL },
	{ "endpoint_ephemeral_ports_free", "gauge", "Local ports that are left towards an endpoint.", endpoint_ports,
	  has_ports },
};

static void write_endpoint(struct str *s, const char *name, const struct endpoint_row *e, uint64_t n)
{
	sample(s, name);
	label(s, true, "cluster", e->cluster);
	label(s, false, "endpoint", e->endpoint);
	str_char(s, '}');
	value(s, n);
}

/* What is known of a cluster itself. */
static void write_cluster(struct str *s, const char *name, const char *help, const struct snapshot *snapshot,
			  uint32_t (*read)(const struct cluster *))
{
	family(s, name, "gauge", help);
	for (size_t i = 0; i < snapshot->config->clusters_count; i++) {
		sample(s, name);
		label(s, true, "cluster", snapshot->config->clusters[i].name);
		str_char(s, '}');
		value(s, read(snapshot->clusters[i].view->cluster));
	}
}

static void write_clusters(struct str *s, const struct control *c)
{
	struct roster r;

	if (c->snapshot->config->clusters_count > 0) {
		write_cluster(s, "cluster_connections", "Connections and requests that a cluster serves.", c->snapshot,
			      cluster_active);
		write_cluster(s, "cluster_waiting", "Connections and requests that wait for a place (queue).", c->snapshot,
			      cluster_waiting);
	}
	ports_all = ports_of_range();
	roster_take(&r, c->clusters, NULL);
	for (size_t row = 0; r.count > 0 && row < ARRAY_LEN(endpoint_rows); row++) {
		family(s, endpoint_rows[row].name, endpoint_rows[row].type, endpoint_rows[row].help);
		for (size_t i = 0; i < r.count; i++)
			if (endpoint_rows[row].is_told == NULL || endpoint_rows[row].is_told(&r.rows[i]))
				write_endpoint(s, endpoint_rows[row].name, &r.rows[i], endpoint_rows[row].read(&r.rows[i]));
	}
	roster_done(&r);
}

/* ---- certificates, configuration ---- */

static void write_certificates(struct str *s, const struct snapshot *snapshot)
{
	static const char name[] = "tls_certificate_expiry_timestamp_seconds";
	bool has_family = false;

	for (size_t i = 0; i < snapshot->config->listeners_count; i++) {
		const struct tls_context *t = snapshot->listener_tls[i];

		if (t == NULL)
			continue;
		if (!has_family)
			family(s, name, "gauge", "When the earliest certificate of a listener ends.");
		has_family = true;
		sample(s, name);
		label(s, true, "listener", snapshot->config->listeners[i].name);
		str_char(s, '}');
		value(s, (uint64_t)tls_context_expiry(t));
	}
}

static void write_reloads(struct str *s, const struct reload *r)
{
	one(s, "config_last_reload_successful", "gauge", "0 when the last reload was refused.", !r->has_failed);
	one(s, "config_last_reload_success_timestamp_seconds", "gauge", "When a configuration last came into force.",
	    r->good_wall_ns / 1000000000);
	family(s, "config_reloads_total", "counter", "Reloads.");
	sample(s, "config_reloads_total");
	label(s, true, "result", "success");
	str_char(s, '}');
	value(s, r->good_count);
	sample(s, "config_reloads_total");
	label(s, true, "result", "failure");
	str_char(s, '}');
	value(s, r->failed_count);
}

/* ---- the process ---- */

/* Since 6.2 the kernel says their number; to count them takes a microsecond each, which is a lot for a scrape of a process that
 * holds a hundred thousand. */
static uint64_t open_files(void)
{
	struct stat st;
	uint64_t n = 0;
	DIR *d;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	d = opendir("/proc/self/fd");
	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the one that reads */
}

static uint64_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f != NULL) {
		if (fscanf(f, "%*u %lu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(struct str *s, const struct control *c)
{
	struct rusage usage;
	struct rlimit files;
	uint64_t cpu_us = 0;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
			 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	seconds(s, "process_cpu_seconds_total", "counter", "CPU time of the process.", cpu_us);
	seconds(s, "process_start_time_seconds", "gauge", "When the process began.", c->began_wall_ns / 1000);
	one(s, "process_resident_memory_bytes", "gauge", "Memory in RAM.", resident_bytes());
	one(s, "process_open_fds", "gauge", "Open file descriptors.", open_files());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		one(s, "process_max_fds", "gauge", "The limit of open file descriptors.", files.rlim_cur);
	one(s, "log_lines_dropped_total", "counter", "Log lines that found their queue full.", log_dropped());
	one(s, "workers", "gauge", "Worker threads.", c->crew.count);
	one(s, "upgrades_refused_total", "counter", "Upgrades after which this process went on.", c->upgrade.failed_count);
	one(s, "connections_max", "gauge", "limits.max_connections, or fewer where descriptors are.",
	    atomic_load(&c->places.max));
	one(s, "ready", "gauge", "1 while /ready says so.",
	    c->shutdown.state == SHUTDOWN_NOT && !c->admin.is_away);
	family(s, "build_info", "gauge", "The version.");
	sample(s, "build_info");
	label(s, true, "version", HF_VERSION);
	str_char(s, '}');
	value(s, 1);
}

static void metrics_done(struct admin_client *client, const struct gather *g)
{
	const struct control *c = admin_control(client);
	struct str s;

	str_init_heap(&s, TEXT_MAX);
	counters_each(write_row, &(struct rows_writer){ .out = &s });
	write_reasons(&s, "connections_refused_total", "Connections and requests that were refused.", COUNTERS_REFUSED);
	write_reasons(&s, "connections_ended_total", "Connections that ended for a reason of their own.",
		      COUNTERS_REASONS);
	write_closes(&s);
	for (unsigned h = 0; h < HISTOGRAM_COUNT; h++)
		write_histogram(&s, (enum histogram)h);
	write_listeners(&s, g);
	write_workers(&s, g);
	write_clusters(&s, c);
	write_certificates(&s, c->snapshot);
	write_reloads(&s, &c->reload);
	write_process(&s, c);
	if (s.is_cut)
		admin_problem(client, 503, "memory is exhausted");
	else
		admin_answer(client, 200, TYPE, s.at, s.len);
	str_done(&s);
}

void admin_metrics(struct admin_client *c)
{
	gather_start(c, metrics_done);
}
