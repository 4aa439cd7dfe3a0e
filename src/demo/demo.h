/* `holdfast --demo`: a cluster inside the process, and the configuration that leads to it.
 *
 * Three small servers on loopback ports of the kernel's choice, on one thread and ring of their own, which know nothing
 * of the proxy in front of them: HTTP/1.1 and WebSocket by way of wire/ and net/, like any backend.
 * Called by: main. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "config/config.h"
#include "net/tls_context.h"

#include <stdio.h>

#define DEMO_LISTENER "demo"
#define DEMO_PORT     8443

struct demo;

/* Listens, and starts the servers.  NULL, and one clause of why. */
struct demo *demo_new(char *error, size_t error_len);
/* Ends the servers; after whoever is connected to them. */
void demo_free(struct demo *d); /* accepts NULL */

/* Where to look.  0, or -1: nobody can read it. */
int demo_print(const struct demo *d, FILE *out);

/* The configuration: the same each time.  For control_options; `demo` is a struct demo. */
struct config *demo_load(void *demo, struct config_errors *errors);
/* The listener's certificate, of the demo's own making. */
struct tls_context *demo_tls(const struct demo *d);

#endif
