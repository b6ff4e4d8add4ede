/* How many threads of broker/os the process has, by their names. */
#ifndef TESTS_UNIT_OS_THREADS_H
#define TESTS_UNIT_OS_THREADS_H

int worker_threads(void);

#endif
