import Testing

@testable import Definitions

@Suite struct UCUMTests {
    @Test(arguments: [
        "Cel", "bar", "mm/s", "m3/h", "1/min", "kW.h", "%", "L/min", "m3/min", "A", "V", "kV.A", "V.A{reactive}", "m/s2", "kg/m3", "Pa",
        "mbar",
        "[psi]", "[degF]", "mm[Hg]", "m[H2O]", "[in_i'H2O]", "N.m", "Hz", "/min", "1", "10*3/uL", "{piece}", "bar{gauge}", "{count}/h",
        "uS/cm",
        "mg/L", "[ppm]", "[pH]", "deg", "rad/s", "kat", "(kg.m)/s2", "m-1", "J/(kg.K)", "Ohm", "l/s", "t/h", "MiBy", "dB[SPL]", "s", "ms",
        "us",
        "kg.m2/s3", "m+2", "''", "'", "deg{tilt}",
    ])
    func accepts(_ unit: String) { #expect(UCUM.problem(in: unit) == nil) }

    @Test(arguments: [
        ("degC", "write 'Cel'"), ("°C", "write 'Cel'"), ("rpm", "write '1/min'"), ("RPM", "write '1/min'"), ("kWh", "write 'kW.h'"),
        ("psi", "write '[psi]'"), ("m³/h", "write 'm3/h'"), ("pH", "write '[pH]'"), ("ft", "write '[ft_i]'"),
        ("barg", "write 'bar{gauge}'"),
        ("degC/min", "did you mean 'Cel'?"), ("cel", "did you mean 'Cel'?"), ("hz", "did you mean 'Hz'?"), ("Nm", "write 'N.m'"),
        ("mm//s", "for example Cel, bar, mm/s, m3/h, 1/min, kW.h, %"), ("bar.", "for example Cel, bar, mm/s, m3/h, 1/min, kW.h, %"),
    ])
    func suggests(_ unit: String, _ suggestion: String) { #expect(UCUM.problem(in: unit)?.suggestion == suggestion) }

    @Test(arguments: [
        "", "m s", "kmin", "m/", "(m", "m)", "{", "{a b}", "{{a}}", "2m", "m*s", "m^2", "µm", "[xyz]", "foo", "((((((((((m))))))))))", "k",
        "m2s",
    ])
    func refuses(_ unit: String) { #expect(UCUM.problem(in: unit) != nil) }

    @Test func thereAreAtomsEnoughAndNoneTwice() { #expect(UCUMAtoms.all.count >= 150) }
}
