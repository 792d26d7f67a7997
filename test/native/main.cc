// The native test binary. Needs root for what launches processes; those tests say so and pass over.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
