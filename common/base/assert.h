/* ASSERT: for our own bugs only, and on in every build (NDEBUG does not reach it).
 *
 * Whatever a peer, a disk or an operator can cause is an error value, never an ASSERT. */
#ifndef COMMON_BASE_ASSERT_H
#define COMMON_BASE_ASSERT_H

/* Prints the condition and its place to stderr and aborts. */
_Noreturn void base_assert_failed(const char *what, const char *file, int line,
                                  const char *function);

#define ASSERT(cond) ((cond) ? (void)0 : base_assert_failed(#cond, __FILE__, __LINE__, __func__))

#define UNREACHABLE(why) base_assert_failed("unreachable: " why, __FILE__, __LINE__, __func__)

#endif
