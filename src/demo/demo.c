#include "demo/demo.h"

#include "base/list.h"
#include "config/errors.h"
#include "demo/servers.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX 2048
#define URL	   "https://127.0.0.1:8443/"

struct demo {
	struct servers servers;
	struct tls_context *tls;
	char config[CONFIG_MAX];
	int config_len;
};

/* The file that conf/demo.yaml shows, but for the certificate, which is in memory. */
static const char config_format[] = "log: { level: info }\n"
				    "shutdown: { grace: 2s }\n"
				    "listeners:\n"
				    "  - name: " DEMO_LISTENER "\n"
				    "    bind: \"127.0.0.1:%d\"\n"
				    "    routes:\n"
				    "      - { name: chat, path: /ws, cluster: chat }\n"
				    "      - { name: page, cluster: chat }\n"
				    "clusters:\n"
				    "  - name: chat\n"
				    "    balance: least_connections\n"
				    "    endpoints: [\"%s\", \"%s\", \"%s\"]\n";

static struct tls_context *certificate_new(void)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1" };
	struct tls_tickets *tickets = tls_tickets_new(0);
	struct tls_context *c = NULL;

	if (tickets != NULL)
		c = tls_context_new_self_signed(names, ARRAY_LEN(names), tickets);
	tls_tickets_free(tickets); /* the context has its own count of them */
	return c;
}

static bool say(char *error, size_t error_len, const char *what, int err)
{
	snprintf(error, error_len, "%s: %s", what, strerror(-err));
	return false;
}

static bool demo_make(struct demo *d, char *error, size_t error_len)
{
	const struct server *at = d->servers.at;
	int err = servers_init(&d->servers);

	if (err < 0)
		return say(error, error_len, "its servers cannot listen", err);
	d->config_len = snprintf(d->config, sizeof(d->config), config_format, DEMO_PORT, at[0].address,
				 at[1].address, at[2].address);
	d->tls = certificate_new();
	if (d->tls == NULL) {
		snprintf(error, error_len, "its certificate cannot be made");
		return false;
	}
	err = servers_start(&d->servers);
	return err == 0 || say(error, error_len, "its servers have no thread", err);
}

struct demo *demo_new(char *error, size_t error_len)
{
	struct demo *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		snprintf(error, error_len, "out of memory");
		return NULL;
	}
	if (demo_make(d, error, error_len))
		return d;
	demo_free(d);
	return NULL;
}

void demo_free(struct demo *d)
{
	if (d == NULL)
		return;
	servers_done(&d->servers);
	tls_context_unref(d->tls);
	free(d);
}

int demo_print(const struct demo *d, FILE *out)
{
	fprintf(out, "\n"
		     "  holdfast " HF_VERSION " demo\n"
		     "\n"
		     "  Open " URL " in two tabs and chat.  (The certificate is self-signed and\n"
		     "  lives as long as this process: the browser will ask.)\n"
		     "\n");
	for (size_t i = 0; i < SERVERS_COUNT; i++)
		fprintf(out, "  endpoint %-6s %s\n", d->servers.at[i].name, d->servers.at[i].address);
	fprintf(out, "\n  Ctrl-C ends it.\n\n");
	return fflush(out);
}

struct config *demo_load(void *demo, struct config_errors *errors)
{
	const struct demo *d = demo;

	return config_load_bytes("demo", d->config, (size_t)d->config_len, errors);
}

struct tls_context *demo_tls(const struct demo *d)
{
	return d->tls;
}
