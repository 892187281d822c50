/*
 * SANITIZED: is this built with AddressSanitizer or ThreadSanitizer? Their run time does what no other program does, and all takes
 * longer, and more memory.
 */
#ifndef STELE_SYS_SANITIZED_H
#define STELE_SYS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
