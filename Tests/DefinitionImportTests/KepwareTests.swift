import Definitions
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

@Suite("Import of KEPServerEX")
struct KepwareTests {
    @Test(
        "addresses of the Modbus drivers",
        arguments: [
            ("400001", "holding:0"), ("40001", "holding:0"), ("465536", "holding:65535"), ("300011", "input:10"), ("100001", "discrete:0"),
            ("000005", "coil:4"), ("00005", "coil:4"), ("4H0010", "holding:15"), ("400009.3", "holding:8"),
        ])
    func addresses(_ text: String, _ expected: String) throws {
        let address = try #require(KepwareAddress(text))
        #expect(ModbusAddress(table: address.table, offset: address.offset).description == expected)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", "4", "400", "400000", "465537", "500001", "4000001", "400001.", "400001.x", "400001.3.4", "400001 [", "400001 [0]",
            "400001 [99999]", "DB1.DBW0", "4HZZZZ", "-40001", "４00001",
        ])
    func noAddresses(_ text: String) { #expect(KepwareAddress(text) == nil) }

    @Test("linear scaling, negation and decimal commas give the same line")
    func scaling() throws {
        let header = "Tag Name;Address;Data Type;Client Access;Scan Rate;Scaling;Raw Low;Raw High;Scaled Low;Scaled High;Negate Value\n"
        let result = try imported(
            header + "a;400001;Word;RO;100;Linear;6400;32000;0;10;0\nb;400002;Word;RO;100;Linear;0;1000;0,5;100,5;1\n")
        let tags = result.definitions[0].tags
        #expect(abs(tags[0].scaling.engineering(6400)) < 1e-12 && abs(tags[0].scaling.engineering(32000) - 10) < 1e-12)
        #expect(abs(tags[1].scaling.engineering(0) + 0.5) < 1e-12 && abs(tags[1].scaling.engineering(1000) + 100.5) < 1e-12)
    }

    @Test("values of several registers have the order that is given, else the driver's default")
    func byteOrder() throws {
        let text = "Tag Name,Address,Data Type\na,400001,Float\n"
        #expect(try imported(text).definitions[0].tags[0].byteOrder == .cdab)
        #expect(try imported(text).notes.contains { $0.kind == .assumed && $0.subject == "byte order" })
        #expect(try imported(text, byteOrder: .abcd).definitions[0].tags[0].byteOrder == .abcd)
        #expect(try !imported(text, byteOrder: .abcd).notes.contains { $0.subject == "byte order" })
    }

    @Test("a row that is cut off is no tag with half an address")
    func cutRow() throws {
        let text = "Tag Name,Address,Data Type,Client Access,Scan Rate\na,400001,Word,RO,100\nb,40002"
        let result = try imported(text)
        #expect(result.definitions[0].tags.map(\.name) == ["a"])
        #expect(result.notes.contains { $0.kind == .lost && $0.subject == "b" && $0.position.line == 3 })
    }

    @Test("many tags of one name are told apart without looking through all of them for each")
    func manyNames() throws {
        var text = "Tag Name,Address,Data Type,Client Access,Scan Rate\n"
        for index in 1...8000 { text += "a,4\(String(100_000 + index).dropFirst()),Word,RO,100\n" }
        let names = try imported(text).definitions[0].tags.map { $0.name }
        #expect(names.count == 8000 && Set(names).count == 8000)
        #expect(names[0] == "a" && names[7999] == "a-8000")
    }
}
