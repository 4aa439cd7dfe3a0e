#include "net/tls_directory.h"

#include "net/tls_error.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *ending_of(const char *name)
{
	const char *dot = name[0] != '.' ? strrchr(name, '.') : NULL; /* hidden: somebody's draft */

	return dot != NULL && (strcmp(dot, ".pem") == 0 || strcmp(dot, ".crt") == 0) ? dot : NULL;
}

static int is_certificate(const struct dirent *e)
{
	return ending_of(e->d_name) != NULL;
}

static bool pair_add(struct tls_directory *d, const char *path, const char *name, struct tls_fault *f)
{
	struct tls_certificate_files *pair = &d->files[d->count];
	char *cert = NULL, *key = NULL;

	if (asprintf(&cert, "%s/%s", path, name) < 0)
		cert = NULL;
	if (asprintf(&key, "%s/%.*s.key", path, (int)(ending_of(name) - name), name) < 0)
		key = NULL;
	pair->cert = cert;
	pair->key = key;
	d->count++; /* also half made: it is freed */
	if (cert == NULL || key == NULL)
		return tls_fault_say(f, path, "out of memory");
	return access(key, F_OK) == 0 || tls_fault_say(f, cert, "its key is missing: %s", key);
}

bool tls_directory_read(struct tls_directory *d, const char *path, char *error, size_t error_len)
{
	struct tls_fault fault = { .text = error, .cap = error_len };
	struct dirent **names = NULL;
	int count = scandir(path, &names, is_certificate, alphasort);
	bool ok;

	*d = (struct tls_directory){ NULL, 0 };
	if (count < 0)
		return tls_fault_say(&fault, path, "cannot list: %s", strerror(errno));
	ok = count <= (int)TLS_DIRECTORY_MAX || tls_fault_say(&fault, path, "more than %u certificates", TLS_DIRECTORY_MAX);
	if (ok) {
		d->files = calloc((size_t)count + 1, sizeof(*d->files));
		ok = d->files != NULL || tls_fault_say(&fault, path, "out of memory");
	}
	for (int i = 0; i < count; i++) {
		ok = ok && pair_add(d, path, names[i]->d_name, &fault);
		free(names[i]);
	}
	free(names);
	if (!ok)
		tls_directory_done(d);
	return ok;
}

void tls_directory_done(struct tls_directory *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free((char *)(uintptr_t)d->files[i].cert);
		free((char *)(uintptr_t)d->files[i].key);
	}
	free(d->files);
	*d = (struct tls_directory){ NULL, 0 };
}
