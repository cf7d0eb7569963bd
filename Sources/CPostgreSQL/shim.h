#include <libpq-fe.h>

// What Swift cannot see by itself: macros that are characters.

/// The five characters that say what kind of failure it was (SQLSTATE); NULL where the server said none.
static inline const char *cpostgresql_state(const PGresult *result)
{
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}
