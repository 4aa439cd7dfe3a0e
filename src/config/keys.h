/* The tables of keys, one a mapping.  Each ends with a row without a name. */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include "config/key.h"

extern const struct key root_keys[];	  /* struct config */
extern const struct key per_ip_keys[];	  /* struct per_ip_limits */
extern const struct key listener_keys[];  /* struct listener_config */
extern const struct key route_keys[];	  /* struct route_config */
extern const struct key auth_keys[];	  /* struct auth_config */
extern const struct key websocket_keys[]; /* struct websocket_policy */
extern const struct key fallback_keys[];  /* struct fallback_config */
extern const struct key endpoint_list_keys[]; /* struct endpoint_list */
extern const struct key cluster_keys[];	  /* struct cluster_config */

#endif
