#include "control/files.h"

#include "base/log.h"
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct watched_file {
	struct watch watch;
	struct list link;
	struct files *files;
	bool is_wanted;
};

static void on_changed(struct watch *watch)
{
	struct watched_file *w = container_of(watch, struct watched_file, watch);

	log_info("%s has changed", watch->path);
	reload_files(w->files->control);
}

static struct watched_file *find(struct files *f, const char *path)
{
	list_for_each(node, &f->list) {
		struct watched_file *w = container_of(node, struct watched_file, link);

		if (strcmp(w->watch.path, path) == 0)
			return w;
	}
	return NULL;
}

/* NULL is accepted: no such key. */
static void want(struct files *f, const char *path)
{
	struct watched_file *w;

	if (path == NULL)
		return;
	w = find(f, path);
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL || !watch_add(&f->control->watcher, &w->watch, path, on_changed)) {
			log_error("%s: out of memory: changes are seen on reload only", path);
			free(w);
			return;
		}
		w->files = f;
		list_append(&f->list, &w->link);
	}
	w->is_wanted = true;
}

/* Whatever changes in it. */
static void want_directory(struct files *f, const char *path)
{
	char all[4096];

	if (path == NULL)
		return;
	if (snprintf(all, sizeof(all), "%s/*", path) < (int)sizeof(all))
		want(f, all);
}

static void want_tls(struct files *f, const struct listener_tls *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->certificates_count; i++) {
		want(f, t->certificates[i].cert);
		want(f, t->certificates[i].key);
	}
	want(f, t->session_tickets != NULL ? t->session_tickets->key_file : NULL);
	want_directory(f, t->certificate_dir);
	want(f, t->client_auth != NULL ? t->client_auth->ca : NULL);
	want(f, t->ocsp_stapling != NULL ? t->ocsp_stapling->file : NULL);
}

static void want_auth(struct files *f, const struct auth_config *a)
{
	if (a->jwt == NULL)
		return;
	want(f, a->jwt->keys);
	want(f, a->jwt->secret_file);
	want(f, a->jwt->revoked_file);
}

void files_want(struct files *f, const struct config *config)
{
	want(f, config->limits.deny_file);
	for (size_t i = 0; i < config->listeners_count; i++) {
		const struct listener_config *l = &config->listeners[i];

		want_tls(f, l->tls);
		for (size_t j = 0; j < l->routes_count; j++)
			want_auth(f, &l->routes[j].auth);
	}
	for (size_t i = 0; i < config->clusters_count; i++) {
		const struct cluster_tls *t = config->clusters[i].tls;

		if (t == NULL)
			continue;
		want(f, t->ca);
		want(f, t->client_cert);
		want(f, t->client_key);
	}
}

static void drop_unwanted(struct files *f)
{
	list_for_each_safe(node, next, &f->list) {
		struct watched_file *w = container_of(node, struct watched_file, link);

		if (w->is_wanted)
			continue;
		list_remove(&w->link);
		watch_remove(&w->watch);
		free(w);
	}
}

static void all_unwanted(struct files *f)
{
	list_for_each(node, &f->list)
		container_of(node, struct watched_file, link)->is_wanted = false;
}

void files_follow(struct files *f, const struct config *config)
{
	all_unwanted(f);
	files_want(f, config);
	drop_unwanted(f);
}

void files_init(struct files *f, struct control *c)
{
	f->control = c;
	list_init(&f->list);
}

void files_stop(struct files *f)
{
	all_unwanted(f);
	drop_unwanted(f);
}
