/* The demo's page, page.html, as it is sent. */
#ifndef DEMO_PAGE_H
#define DEMO_PAGE_H

#include <stdint.h>

extern const uint8_t demo_page[];
uint32_t demo_page_len(void);

#endif
