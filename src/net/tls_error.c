#include "net/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tls_error_clear(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

unsigned long tls_error_take(void)
{
	unsigned long error = ERR_peek_error();

	if (error != 0)
		ERR_clear_error();
	return error;
}

bool tls_error_is_peer_alert(unsigned long error)
{
	int reason = ERR_GET_REASON(error);

	return ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
	       reason <= SSL_AD_REASON_OFFSET + 255;
}

void tls_error_print(unsigned long error, long verify, char *out, size_t cap)
{
	const char *reason;

	if (cap == 0)
		return;
	if (error == 0) {
		snprintf(out, cap, "no cause given");
		return;
	}
	if (tls_error_is_peer_alert(error)) {
		snprintf(out, cap, "the peer sent the alert: %s",
			 SSL_alert_desc_string_long(ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET));
		return;
	}
	if (ERR_SYSTEM_ERROR(error)) {
		snprintf(out, cap, "%s", strerror(ERR_GET_REASON(error)));
		return;
	}
	reason = ERR_reason_error_string(error);
	if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
	    verify != X509_V_OK)
		snprintf(out, cap, "%s: %s", reason == NULL ? "certificate verify failed" : reason,
			 X509_verify_cert_error_string(verify));
	else if (reason != NULL)
		snprintf(out, cap, "%s", reason);
	else
		snprintf(out, cap, "OpenSSL error %08lx", error);
}

static void fault_print(struct tls_fault *f, const char *file, const char *text)
{
	f->bad_file = file;
	if (f->text == NULL || f->cap == 0)
		return;
	if (file == NULL)
		snprintf(f->text, f->cap, "%s", text);
	else
		snprintf(f->text, f->cap, "%s: %s", file, text);
}

bool tls_fault_say(struct tls_fault *f, const char *file, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fault_print(f, file, text);
	tls_error_clear();
	return false;
}

bool tls_fault_openssl(struct tls_fault *f, const char *file, const char *what)
{
	char cause[256];

	tls_error_print(tls_error_take(), X509_V_OK, cause, sizeof(cause));
	return tls_fault_say(f, file, "%s: %s", what, cause);
}
