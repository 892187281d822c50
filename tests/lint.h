/* Before every source that `make lint` reads: a failure returns the code that it is given, which one file alone does not show. */
#ifndef STELE_TESTS_LINT_H
#define STELE_TESTS_LINT_H

#include "lib/why.h"

#define fail(why, err, ...)    ((void)(fail)((why), (err), __VA_ARGS__), (err))
#define fail_in(why, err, ...) ((void)(fail_in)((why), (err), __VA_ARGS__), (err))

#endif
