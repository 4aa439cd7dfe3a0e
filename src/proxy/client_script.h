/* The client of the fallback as the proxy serves it: contrib/client/holdfast.js, as it was when the program was built. */
#ifndef PROXY_CLIENT_SCRIPT_H
#define PROXY_CLIENT_SCRIPT_H

#include <stdint.h>

#define CLIENT_SCRIPT_PATH "/.holdfast/client.js"

extern const uint8_t client_script[];
uint32_t client_script_len(void);

#endif
