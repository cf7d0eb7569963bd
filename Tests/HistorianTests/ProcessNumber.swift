#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The number of the process that runs the tests.
var processNumber: Int32 { getpid() }
