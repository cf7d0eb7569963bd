import TestKit

/// Series of the shapes that encodings are made for, and of those that hurt them.
enum Shape: String, CaseIterable {
    case constant, boolean, ramp, counter, noise, wideNoise, spikes, steps, few, regularTimes, gappyTimes, jitteredTimes, milliseconds
    case extremes, random, wrappingRamp, parabola, alternating

    func integers(_ count: Int, _ generator: inout SeededGenerator) -> [Int64] {
        let start = Int64.random(in: -1_000_000...1_000_000, using: &generator)
        var value = start
        return (0..<count).map { index in
            let row = Int64(index)
            switch self {
            case .constant: return start
            case .boolean: return Int64.random(in: 0..<10, using: &generator) == 0 ? 1 : 0
            case .ramp: return start + row * 17
            case .counter: value += Int64.random(in: 0...3, using: &generator)
            case .noise: return start + Int64.random(in: -8...8, using: &generator)
            case .wideNoise: return Int64.random(in: -(1 << 40)...(1 << 40), using: &generator)
            case .spikes: return Int.random(in: 0..<40, using: &generator) == 0 ? Int64.random(in: 0...1 << 30, using: &generator) : row & 7
            case .steps: if Int.random(in: 0..<25, using: &generator) == 0 { value = Int64.random(in: 0...3000, using: &generator) }
            case .few: return [0, 4096, -32_768, 77_777][Int.random(in: 0..<4, using: &generator)]
            case .regularTimes: return 1_700_000_000_000_000_000 + row * 100_000_000
            case .gappyTimes: value += Int.random(in: 0..<50, using: &generator) == 0 ? 200_000_000 : 100_000_000
            case .jitteredTimes:
                return 1_700_000_000_000_000_000 + row * 100_000_000 + Int64.random(in: 0...2_000_000, using: &generator)
            case .milliseconds: return 1_700_000_000_000_000_000 + row * 33_000_000 + Int64.random(in: 0...3, using: &generator) * 1_000_000
            case .extremes: return [Int64.min, Int64.max, 0, -1, 1][Int.random(in: 0..<5, using: &generator)]
            case .random: return Int64(bitPattern: generator.next())
            case .wrappingRamp: return Int64.max &- 500 &+ row &* 12_345_678_901_234
            case .parabola: return start + row * row * 3 + Int64.random(in: 0...1, using: &generator)
            case .alternating: return index % 2 == 0 ? start : start + 1000
            }
            return value
        }
    }

    /// Numbers of sensors and of everything else a float may hold.
    enum Floats: String, CaseIterable {
        case tenths, exact, noise, special, mixed, constant, widePlaces, tiny

        func numbers(_ count: Int, _ generator: inout SeededGenerator) -> [Double] {
            let specials: [Double] = [
                .nan, Double(nan: 0x1234, signaling: false), -.nan, .infinity, -.infinity, -0.0, 0, .greatestFiniteMagnitude,
                .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 0x1p51, -0x1p51, 0x1.8p52, 1e15, 1e300,
            ]
            var value = 20.0
            return (0..<count).map { index in
                switch self {
                case .tenths: return Double(Int.random(in: -500...500, using: &generator)) / 10
                case .exact: return Double(index) * 0.25
                case .noise:
                    value += Double.random(in: -0.01...0.01, using: &generator)
                    return value
                case .special: return specials[Int.random(in: 0..<specials.count, using: &generator)]
                case .mixed:
                    if Int.random(in: 0..<20, using: &generator) == 0 {
                        return specials[Int.random(in: 0..<specials.count, using: &generator)]
                    }
                    return Double(Int.random(in: 0...9999, using: &generator)) / 100
                case .constant: return 3.75
                case .widePlaces: return Double(Int.random(in: 0...999_999_999, using: &generator)) / 1e9
                case .tiny: return Double(Int.random(in: 0...9, using: &generator)) * 1e-18
                }
            }
        }
    }

    static func texts(_ count: Int, distinct: Int, _ generator: inout SeededGenerator) -> [[UInt8]] {
        let choices = (0..<distinct).map { number in
            (0..<Int.random(in: 0...12, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                + Array("\(number)".utf8)
        }
        return (0..<count).map { _ in choices[Int.random(in: 0..<distinct, using: &generator)] }
    }
}
