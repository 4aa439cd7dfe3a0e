/* Constants of newer kernels that liburing 2.3's headers lack, under names of our own (later headers make some of
 * them enums), each with the version that brought it. */
#ifndef NET_URING_COMPAT_H
#define NET_URING_COMPAT_H

#include <liburing.h>
#include <string.h>

#define HF_RECV_MULTISHOT	 (1u << 1) /* 6.0, sqe->ioprio */
#define HF_REGISTER_ENABLE_RINGS 12	   /* 5.10; liburing 2.3 declares a function but does not export it */

/* 6.17: a multishot recv ends after the shot that brings its total to `bytes`; the field is the u32 at byte 44 of the
 * SQE, which kernels before it want to be zero (-EINVAL). */
static inline void hf_sqe_set_recv_credit(struct io_uring_sqe *sqe, unsigned bytes)
{
	memcpy((char *)sqe + 44, &bytes, sizeof(bytes));
}

#endif
