import COpenSSL

@testable import Envelope

/// The primitives of the national suite one by one, for the published examples.
enum NationalPrimitives {
    static func sm3(_ message: [UInt8]) throws -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        try succeed(EVP_Digest(message, message.count, &digest, nil, EVP_sm3(), nil), "digest")
        return digest
    }

    /// SM4 in counter mode.
    static func sm4(key: [UInt8], counter: [UInt8], _ input: [UInt8]) throws -> [UInt8] {
        let context = try CipherContext()
        try succeed(EVP_CipherInit_ex(context.pointer, EVP_sm4_ctr(), nil, key, counter, 1), "begin")
        var output = [UInt8](repeating: 0, count: input.count)
        var count: Int32 = 0
        try succeed(EVP_CipherUpdate(context.pointer, &output, &count, input, Int32(input.count)), "encrypt")
        return output
    }
}
