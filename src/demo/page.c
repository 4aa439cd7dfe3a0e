#include "demo/page.h"

/* The assembler reads the file (DEMO_PAGE_FILE is its path, from the Makefile): no generated source, and an editor sees
 * HTML. */
__asm__(".section .rodata\n"
	".balign 16\n"
	".global demo_page\n"
	".hidden demo_page\n"
	"demo_page:\n"
	".incbin \"" DEMO_PAGE_FILE "\"\n"
	".global demo_page_end\n"
	".hidden demo_page_end\n"
	"demo_page_end:\n"
	".byte 0\n"
	".text\n");

extern const uint8_t demo_page_end[];

uint32_t demo_page_len(void)
{
	return (uint32_t)((uintptr_t)demo_page_end - (uintptr_t)demo_page);
}
