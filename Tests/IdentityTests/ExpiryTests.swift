import Foundation
import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Identity

private let now = Timestamp(milliseconds: 1_780_000_000_000)
private let day = Duration.seconds(86_400)

@Suite struct ExpiryTests {
    private func forecast(_ left: Duration, isUncertain: Bool = false) -> ExpiryForecast {
        ExpiryForecast(
            notBefore: now.advanced(by: day * -60), notAfter: now.advanced(by: left), at: ClockStamp(time: now, isUncertain: isUncertain))
    }

    @Test func itBeginsThirtyDaysBeforeTheEnd() {
        #expect(forecast(day * 30 + .seconds(1)).state == .valid)
        #expect(forecast(day * 30).state == .expiring && forecast(day * 30).daysLeft == 30)
        #expect(forecast(.seconds(1)).state == .expiring && forecast(.seconds(1)).daysLeft == 0)
        #expect(forecast(.zero).state == .expiring)
        #expect(forecast(.seconds(-1)).state == .expired && forecast(.seconds(-1)).daysLeft == -1)
        #expect(forecast(day * 12).words("the certificate") == "the certificate expires in 12 days, on \(now.advanced(by: day * 12))")
        #expect(forecast(day * 1).words("x").contains("in 1 day,"))
    }

    @Test func aClockThatIsNotSetDeclaresNothingExpired() {
        let over = forecast(day * -1, isUncertain: true)
        #expect(over.state == .unknown && over.daysLeft == nil && over.isAlarm && over.words("x").contains("if the clock is right"))
        let notAfter = now.advanced(by: day * 10)
        let unset = ExpiryForecast(notAfter: notAfter, at: ClockStamp(time: Timestamp(nanoseconds: 0), isUncertain: true))
        #expect(unset.state == .unknown && unset.daysLeft == nil && !unset.isAlarm)
        let early = ExpiryForecast(
            notBefore: now.advanced(by: day), notAfter: notAfter, at: ClockStamp(time: now, isUncertain: true))
        #expect(early.state == .unknown && !early.isAlarm)
        #expect(forecast(day * 10, isUncertain: true).state == .expiring, "a plant without a time server is warned, too")
    }

    @Test func whatNeverEndsIsValid() {
        let forecast = ExpiryForecast(notAfter: Timestamp(nanoseconds: .max), at: ClockStamp(time: now))
        #expect(forecast.state == .valid)
    }

    /// `elapsed` after `now`, of a certificate that had `left` then.
    private func reading(_ left: Duration, after elapsed: Duration = .zero, trouble: String? = nil) -> IdentityReading {
        let stamp = ClockStamp(time: now.advanced(by: elapsed))
        var reading = IdentityReading(certificate: nil, authorityNotAfter: now.advanced(by: day * 900), trouble: trouble, at: stamp)
        reading.certificate = ExpiryForecast(notAfter: now.advanced(by: left), at: stamp)
        return reading
    }

    @Test func alarmsAreRepeatedDailyAndEnd() {
        var watch = ExpiryWatch()
        var at = MonotonicInstant(nanoseconds: 0)
        var stored = 0
        var alarms = 0
        // From 32 days before the end to three after it, looked at every hour.
        for hour in 0..<(35 * 24) {
            let action = watch.look(reading(day * 32, after: .seconds(hour * 3600)), at: at)
            stored += action.isStored ? 1 : 0
            alarms += action.remark == .alarm ? 1 : 0
            #expect(action.remark != .relief)
            at = at.advanced(by: .seconds(3600))
        }
        #expect((35...37).contains(stored), "each day: \(stored)")
        // Each day from the thirtieth before the end to the third after it, and once more at the very end.
        #expect((32...35).contains(alarms), "each day: \(alarms)")
        let renewed = watch.look(reading(day * 90), at: at)
        #expect(renewed == .init(isStored: true, remark: .relief))
        let quiet = watch.look(reading(day * 90), at: at)
        #expect(quiet == .init(isStored: false, remark: nil))
        let broken = watch.look(reading(day * 90, trouble: "no file"), at: at)
        #expect(broken == .init(isStored: true, remark: .alarm))
    }

    @Test func whatIsWrongIsSaid() {
        #expect(reading(day * 90).words == [] && !(reading(day * 90).isAlarm))
        let words = reading(day * -1, trouble: "the key does not match").words
        #expect(words.count == 2 && words[0].contains("expired on") && words[1] == "the key does not match")
    }
}

@Suite struct TLSCredentialsTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now)
    }

    private var files: TLSFiles {
        TLSFiles(ca: folder.path + "/ca.crt", certificate: folder.path + "/gateway.crt", key: folder.path + "/gateway.key")
    }

    @Test func changesAreNoticedByContent() throws {
        let before = try TLSFileContents(reading: files).digest
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: files.ca)
        #expect(try TLSFileContents(reading: files).digest == before)
        try DevelopmentIdentity.renew("gateway", in: folder.path, at: now)
        #expect(try TLSFileContents(reading: files).digest != before)
    }

    @Test func datesAreToldOnlyByAClockThatIsRight() throws {
        let credentials = try TLSCredentials(files)
        #expect(credentials.troubles(at: ClockStamp(time: now)).isEmpty)
        for time in [now.advanced(by: day * -1), now.advanced(by: day * 91)] {
            #expect(credentials.troubles(at: ClockStamp(time: time)).map { $0.kind } == [.dates, .authorityDates])
            #expect(credentials.troubles(at: ClockStamp(time: time, isUncertain: true)).isEmpty)
        }
        let early = ClockStamp(time: Timestamp(nanoseconds: 0), isUncertain: true)
        #expect(credentials.verificationTime(at: early) == now, "the time is at least that at which our certificate was made")
        #expect(credentials.verificationTime(at: ClockStamp(time: Timestamp(nanoseconds: 0))) == Timestamp(nanoseconds: 0))
    }

    @Test(arguments: ["gateway", "broker", "subscriber"]) func renewedOnesFit(name: String) throws {
        let before = try CertificateInformation(pemFile: "\(folder.path)/\(name).crt")
        try DevelopmentIdentity.renew(name, in: folder.path, at: now.advanced(by: day))
        let after = try CertificateInformation(pemFile: "\(folder.path)/\(name).crt")
        #expect(after.fingerprint != before.fingerprint && after.subject == before.subject)
        #expect(after.subjectAlternativeNames == before.subjectAlternativeNames)
        let remarks = try CertificateInformation.check(
            ca: files.ca, certificate: "\(folder.path)/\(name).crt", key: "\(folder.path)/\(name).key", at: now.advanced(by: day * 2))
        #expect(remarks == [])
    }

    @Test func nobodyElseIsRenewed() throws {
        for name in ["ca", "../gateway", ""] {
            #expect(throws: GatewayError.self) { try DevelopmentIdentity.renew(name, in: folder.path, at: now) }
        }
    }
}

@Suite struct PKCS11URITests {
    @Test func namesOfKeys() throws {
        let plain = try PKCS11URI("pkcs11:token=gateway;object=tls")
        #expect(plain.name == "pkcs11:token=gateway;object=tls;type=private" && plain.modulePath == nil && plain.pinSource == nil)
        let full = try PKCS11URI(
            "pkcs11:token=My%20Token;id=%01%02;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/a%20pin")
        #expect(full.name == "pkcs11:token=My%20Token;id=%01%02;type=private")
        #expect(full.modulePath == "/usr/lib/softhsm/libsofthsm2.so" && full.pinSource == "/run/a pin")
        #expect(try PKCS11URI("pkcs11:serial=1;object=a?pin-source=file:///etc/pin").pinSource == "/etc/pin")
        #expect(PKCS11URI.isMeant(by: "pkcs11:x") && !PKCS11URI.isMeant(by: "/etc/key.pem"))
    }

    @Test(arguments: [
        "", "pkcs11", "pkcs11:", "pkcs11:token=a", "pkcs11:object=a", "pkcs11:token=a;object", "pkcs11:token=a;object=b;object=c",
        "pkcs11:token=a;object=b;colour=red", "pkcs11:token=a;object=b;type=cert", "pkcs11:token=a;object=b?pin-source=relative",
        "pkcs11:token=a;object=b?pin-source=/a%zz", "pkcs11:token=a;object=b?pin-source=/a%00", "pkcs11:token=a;object=b?module-name=x",
        "pkcs11:token=a b;object=c", "pkcs11:token=a;object=\u{E9}", "pkcs11:token=a;object=" + String(repeating: "x", count: 1100),
    ])
    func refusesWhatNamesNoKey(text: String) {
        let error = #expect(throws: GatewayError.self) { try PKCS11URI(text) }
        #expect(error?.code == .configurationInvalid)
    }

    @Test(arguments: ["pkcs11:token=a;object=b?pin-value=135790", "pkcs11:token=a;object=b;pin-value=135790"])
    func refusesAndNeverRepeatsAPIN(text: String) {
        let error = #expect(throws: GatewayError.self) { try PKCS11URI(text) }
        #expect(error?.message.contains("a PIN must not stand in it") == true && error?.description.contains("135790") == false)
    }
}
