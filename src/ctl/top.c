#include "ctl/top.h"

#include "ctl/table.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENDPOINTS_MAX 1024

/* What was counted a moment ago, by name. */
struct seen {
	char *name;
	double total;
};

static struct seen seen[ENDPOINTS_MAX];
static size_t seen_count;

/* How many more since the last look; -1: never looked. */
static double since(const char *name, double total)
{
	for (size_t i = 0; i < seen_count; i++) {
		if (strcmp(seen[i].name, name) == 0) {
			double more = total - seen[i].total;

			seen[i].total = total;
			return more;
		}
	}
	if (seen_count < ENDPOINTS_MAX && (seen[seen_count].name = strdup(name)) != NULL)
		seen[seen_count++].total = total;
	return -1;
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL ? value : "-";
}

static void print_head(const json_t *s)
{
	const json_t *connections = json_object_get(s, "connections"), *rates = json_object_get(s, "rates");
	char room[16];

	printf("holdfast %s, up %s, %s", text(s, "version"), table_duration(number(s, "uptime_seconds"), room),
	       text(s, "state"));
	printf("   connections %.0f: %.0f WebSocket, %.0f HTTP, %.0f TCP\n", number(connections, "total"),
	       number(connections, "websocket"), number(connections, "http"), number(connections, "tcp"));
	printf("messages/s  in %s", table_count(number(rates, "messages_in_per_second"), room));
	printf("  out %s", table_count(number(rates, "messages_out_per_second"), room));
	printf("   WebSockets/s %s", table_count(number(rates, "websockets_per_second"), room));
	printf("   requests/s %s\n\n", table_count(number(rates, "requests_per_second"), room));
}

static void add_endpoint(struct table *t, const char *cluster, const json_t *e, double delay_s)
{
	char name[512];
	double more;

	snprintf(name, sizeof(name), "%s/%s", cluster, text(e, "endpoint"));
	more = since(name, number(e, "total"));
	table_add(t, TABLE_PLAIN, "%s", cluster);
	table_add(t, TABLE_PLAIN, "%s", text(e, "endpoint"));
	table_add(t, strcmp(text(e, "state"), "ready") == 0 ? TABLE_GOOD : TABLE_WARN, "%s", text(e, "state"));
	table_add(t, TABLE_PLAIN, "%.0f", number(e, "active"));
	if (more < 0)
		table_add(t, TABLE_DIM, "-");
	else
		table_add(t, TABLE_PLAIN, "%.1f", more / delay_s);
	table_add(t, TABLE_PLAIN, "%.0f", number(e, "failures"));
}

static void print_clusters(const struct ctl *c, const json_t *answer, double delay_s)
{
	static const char *const names[] = { "CLUSTER", "ENDPOINT", "STATE", ">ACTIVE", ">NEW/S", ">FAILURES" };
	const json_t *cluster, *e;
	struct table t;
	size_t i, j;

	table_init(&t, names, sizeof(names) / sizeof(names[0]));
	json_array_foreach(json_object_get(answer, "clusters"), i, cluster)
		json_array_foreach(json_object_get(cluster, "endpoints"), j, e)
			add_endpoint(&t, text(cluster, "cluster"), e, delay_s);
	table_print(&t, stdout, c->has_colour);
	table_done(&t);
}

static int look(const struct ctl *c, double delay_s)
{
	json_t *s = NULL, *clusters = NULL;
	int status = ctl_ask(c, "GET", "/status", NULL, &s);

	if (status == CTL_OK)
		status = ctl_ask(c, "GET", "/clusters", NULL, &clusters);
	if (status == CTL_OK) {
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		print_head(s);
		print_clusters(c, clusters, delay_s);
		fflush(stdout);
	}
	json_decref(s);
	json_decref(clusters);
	return status;
}

int run_top(struct ctl *c)
{
	const char *delay = ctl_option(c, "delay"), *count = ctl_option(c, "count");
	double delay_s = delay != NULL ? strtod(delay, NULL) : 1;
	long left = count != NULL ? strtol(count, NULL, 10) : -1;
	struct timespec pause;
	int status = CTL_OK;

	if (!(delay_s >= 0.1 && delay_s <= 3600) || left == 0) {
		fprintf(stderr, "holdfastctl: --delay is 0.1 to 3600 seconds, --count at least 1\n");
		return CTL_USAGE;
	}
	pause.tv_sec = (time_t)delay_s;
	pause.tv_nsec = (long)((delay_s - (double)pause.tv_sec) * 1e9);
	while (status == CTL_OK) {
		status = look(c, delay_s);
		if (left > 0 && --left == 0)
			break;
		nanosleep(&pause, NULL);
	}
	while (seen_count > 0)
		free(seen[--seen_count].name);
	return status;
}
