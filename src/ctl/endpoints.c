#include "ctl/endpoints.h"

#include "ctl/http.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN ((size_t)1 << 20)

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL ? value : "-";
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* "/clusters/C", "/clusters/C/endpoints/E", and what follows. */
static void target_of(const struct ctl *c, struct str *target, bool has_endpoint, const char *rest)
{
	str_init_heap(target, 65536);
	str_cstr(target, "/clusters/");
	http_encode(target, c->args[0]);
	if (has_endpoint) {
		str_cstr(target, "/endpoints/");
		http_encode(target, c->args[1]);
	}
	str_cstr(target, rest);
}

/* Asks and prints the answer with --json; else `say` does. */
static int command(const struct ctl *c, const char *method, bool has_endpoint, const char *rest,
		   const char *body, void (*say)(const struct ctl *, const json_t *))
{
	struct str target;
	json_t *answer;
	int status;

	target_of(c, &target, has_endpoint, rest);
	status = ctl_ask(c, method, str_text(&target), body, &answer);
	str_done(&target);
	if (answer == NULL)
		return status;
	if (c->is_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
	} else {
		say(c, answer);
	}
	json_decref(answer);
	return status;
}

/* ---- one endpoint ---- */

static void say_leaving(const json_t *leaving)
{
	double wait_s = number(leaving, "closes_in_seconds"), rate = number(leaving, "rate");

	if (!json_is_object(leaving))
		return;
	printf(", %.0f left", number(leaving, "remaining"));
	if (number(leaving, "remaining") <= 0)
		return;
	if (wait_s > 0)
		printf(", to be closed in %.0f s", wait_s);
	if (rate > 0)
		printf("%s %.0f a second", wait_s > 0 ? "," : ", closed at", rate);
	printf(", over in %.0f s", number(leaving, "eta_seconds"));
}

static void say_endpoint(const struct ctl *c, const json_t *e)
{
	printf("%s/%s is %s", c->args[0], text(e, "endpoint"), text(e, "state"));
	if (strcmp(text(e, "why"), "") != 0)
		printf(" (%s)", text(e, "why"));
	printf(": weight %.0f, %.0f active", number(e, "weight"), number(e, "active"));
	say_leaving(json_object_get(e, "leaving"));
	printf("\n");
}

int run_endpoint(struct ctl *c)
{
	return command(c, "GET", true, "", NULL, say_endpoint);
}

/* ---- modes ---- */

struct watch {
	const struct ctl *c;
	struct str line;
};

static bool on_part(void *user, const void *bytes, size_t len)
{
	struct watch *w = user;

	for (size_t i = 0; i < len; i++) {
		char byte = ((const char *)bytes)[i];
		json_t *e;

		if (byte != '\n') {
			str_char(&w->line, byte);
			continue;
		}
		e = json_loadb(w->line.at != NULL ? w->line.at : "", w->line.len, 0, NULL);
		if (w->c->is_json)
			printf("%.*s\n", (int)w->line.len, w->line.at);
		else if (e != NULL)
			say_endpoint(w->c, e);
		fflush(stdout);
		json_decref(e);
		str_reset(&w->line);
	}
	return true;
}

static int drain_wait(struct ctl *c)
{
	struct watch w = { .c = c };
	struct str target;
	int status;

	str_init_heap(&w.line, LINE_MAX_LEN);
	target_of(c, &target, true, "/drain?wait=true");
	status = ctl_stream(c, "POST", str_text(&target), on_part, &w);
	str_done(&target);
	str_done(&w.line);
	return status;
}

int run_drain(struct ctl *c)
{
	return ctl_option(c, "wait") != NULL ? drain_wait(c)
					     : command(c, "POST", true, "/drain", NULL, say_endpoint);
}

int run_endpoint_ready(struct ctl *c)
{
	return command(c, "POST", true, "/ready", NULL, say_endpoint);
}

int run_disable(struct ctl *c)
{
	return command(c, "POST", true, "/disable", NULL, say_endpoint);
}

/* ---- weights, coming and going ---- */

static bool number_read(const char *given, json_t *into, const char *key)
{
	char *end;
	unsigned long n = strtoul(given, &end, 10);

	if (end == given || *end != '\0') {
		fprintf(stderr, "holdfastctl: %s: \"%s\" is no number\n", key, given);
		return false;
	}
	json_object_set_new(into, key, json_integer((json_int_t)n));
	return true;
}

static int command_with(const struct ctl *c, const char *method, bool has_endpoint, const char *rest,
			json_t *body, void (*say)(const struct ctl *, const json_t *))
{
	char *sent = json_dumps(body, JSON_COMPACT);
	int status = sent != NULL ? command(c, method, has_endpoint, rest, sent, say) : CTL_UNREACHABLE;

	free(sent);
	return status;
}

int run_weight(struct ctl *c)
{
	json_t *body = json_object();
	int status = CTL_USAGE;

	if (number_read(c->args[2], body, "weight"))
		status = command_with(c, "PATCH", true, "", body, say_endpoint);
	json_decref(body);
	return status;
}

static void say_added(const struct ctl *c, const json_t *answer)
{
	(void)answer;
	printf("%s/%s is added, until it is removed\n", c->args[0], c->args[1]);
}

static void say_removed(const struct ctl *c, const json_t *answer)
{
	(void)answer;
	printf("%s/%s is removed: its connections leave\n", c->args[0], c->args[1]);
}

int run_add(struct ctl *c)
{
	const char *weight = ctl_option(c, "weight"), *max = ctl_option(c, "max-connections"),
		   *zone = ctl_option(c, "zone");
	json_t *body = json_pack("{s:s}", "address", c->args[1]);
	int status = CTL_USAGE;

	if (zone != NULL)
		json_object_set_new(body, "zone", json_string(zone));
	if (ctl_option(c, "backup") != NULL)
		json_object_set_new(body, "backup", json_true());
	if ((weight == NULL || number_read(weight, body, "weight")) &&
	    (max == NULL || number_read(max, body, "max_connections")))
		status = command_with(c, "POST", false, "/endpoints", body, say_added);
	json_decref(body);
	return status;
}

int run_remove(struct ctl *c)
{
	return command(c, "DELETE", true, "", NULL, say_removed);
}

static void say_shed(const struct ctl *c, const json_t *answer)
{
	printf("%s: %.0f connections are above their endpoint's share, and are closed\n", c->args[0],
	       number(answer, "shed"));
}

int run_rebalance(struct ctl *c)
{
	return command(c, "POST", false, "/rebalance", NULL, say_shed);
}
