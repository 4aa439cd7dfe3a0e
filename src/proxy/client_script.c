#include "proxy/client_script.h"

/* The assembler reads the file (CLIENT_SCRIPT_FILE is its path, from the Makefile): no generated source. */
__asm__(".section .rodata\n"
	".balign 16\n"
	".global client_script\n"
	".hidden client_script\n"
	"client_script:\n"
	".incbin \"" CLIENT_SCRIPT_FILE "\"\n"
	".global client_script_end\n"
	".hidden client_script_end\n"
	"client_script_end:\n"
	".byte 0\n"
	".text\n");

extern const uint8_t client_script_end[];

uint32_t client_script_len(void)
{
	return (uint32_t)((uintptr_t)client_script_end - (uintptr_t)client_script);
}
