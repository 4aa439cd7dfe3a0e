/* Constants of newer kernels that liburing 2.3's headers lack, under names of our own (later headers make some of
 * them enums), each with the version that brought it. */
#ifndef NET_URING_COMPAT_H
#define NET_URING_COMPAT_H

#include <liburing.h>

#define HF_REGISTER_ENABLE_RINGS 12 /* 5.10; liburing 2.3 declares a function but does not export it */

#endif
