// Body of a Node-RED function node: reads Sparkplug B payloads and gives their metrics names.
//
// In:   a core "mqtt in" node, topic spBv1.0/+/+/+/# (or narrower), QoS 1, output "a Buffer".
// Out 1: msg.payload = {gateway, device, type, historical, metrics: {name: {value, time, quality, unit}}}
// Out 2: requests for births, for a core "mqtt out" node, QoS 0. Data whose births were not heard yet is dropped meanwhile.
const [space, group, type, node, device = ""] = msg.topic.split("/");
if (space !== "spBv1.0" || !Buffer.isBuffer(msg.payload) || !/^[ND](BIRTH|DATA)$/.test(type)) return null;

// Calls `field` with number, wire type and content of each field: a BigInt, a Buffer, or 4 or 8 bytes.
function fields(bytes, field) {
    let at = 0;
    function varint() {
        let value = 0n;
        for (let shift = 0n; shift < 70n; shift += 7n) {
            if (at >= bytes.length) throw new Error("the payload ends within a number");
            const byte = bytes[at++];
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80) return BigInt.asUintN(64, value);
        }
        throw new Error("a number is too long");
    }
    function take(count) {
        if (count > bytes.length - at) throw new Error("the payload ends within a field");
        at += count;
        return bytes.subarray(at - count, at);
    }
    while (at < bytes.length) {
        const tag = Number(varint());
        switch (tag & 7) {
            case 0: field(tag >>> 3, varint()); break;
            case 1: field(tag >>> 3, take(8)); break;
            case 2: field(tag >>> 3, take(Number(varint()))); break;
            case 5: field(tag >>> 3, take(4)); break;
            default: throw new Error("wire type " + (tag & 7));
        }
    }
}

function readProperties(bytes) {
    const keys = [], values = [];
    fields(bytes, (number, content) => {
        if (number === 1) keys.push(content.toString());
        if (number === 2) {
            let value = null;
            fields(content, (kind, inner) => {
                if (kind === 3 || kind === 4) value = Number(inner);
                if (kind === 5) value = inner.readFloatLE(0);
                if (kind === 6) value = inner.readDoubleLE(0);
                if (kind === 7) value = inner !== 0n;
                if (kind === 8) value = inner.toString();
            });
            values.push(value);
        }
    });
    return Object.fromEntries(keys.map((key, index) => [key, values[index]]));
}

function readMetric(bytes) {
    const metric = { isNull: false, historical: false, properties: {} };
    fields(bytes, (number, content) => {
        switch (number) {
            case 1: metric.name = content.toString(); break;
            case 2: metric.alias = content; break;
            case 3: metric.time = Number(content); break;
            case 4: metric.datatype = Number(content); break;
            case 5: metric.historical = content !== 0n; break;
            case 7: metric.isNull = content !== 0n; break;
            case 9: metric.properties = readProperties(content); break;
            case 10: case 11: metric.integer = content; break;
            case 12: metric.value = content.readFloatLE(0); break;
            case 13: metric.value = content.readDoubleLE(0); break;
            case 14: metric.value = content !== 0n; break;
            case 15: metric.value = content.toString(); break;
        }
    });
    return metric;
}

// Integers mean what the datatype of the birth says: 1 to 4 are signed, in 8, 16, 32 and 64 bits.
function value(metric, datatype) {
    if (metric.isNull) return null;
    if (metric.integer === undefined) return metric.value;
    const width = { 1: 8, 2: 16, 3: 32, 4: 64 }[datatype];
    const number = width ? BigInt.asIntN(width, metric.integer) : metric.integer;
    return Number.isSafeInteger(Number(number)) ? Number(number) : String(number);
}

let time, start = "";
const metrics = [];
fields(msg.payload, (number, content) => {
    if (number === 1) time = Number(content);
    if (number === 2) metrics.push(readMetric(content));
    // Births carry the number of the gateway's start; data carries it as the first part of its key.
    if (number === 4) start = content.toString().split("-")[0];
});

const gateway = group + "/" + node;
const births = context.get("births") || {};
context.set("births", births);
const starts = (births[gateway] = births[gateway] || {});
if (type === "NBIRTH" && !starts[start]) {
    starts[start] = {};
    // The start before this one may still have messages on their way; older ones have not.
    for (const old of Object.keys(starts).slice(0, -2)) delete starts[old];
}
const names = starts[start] || {};
const result = {};
let isUnknown = !starts[start];
let historical = false;
for (const metric of metrics) {
    if (type.endsWith("BIRTH")) {
        const known = { name: metric.name, datatype: metric.datatype, unit: metric.properties.engUnit };
        names[device + "/" + metric.name] = known;
        if (metric.alias !== undefined) names[metric.alias] = known;
    }
    const known = metric.alias !== undefined ? names[metric.alias] : names[device + "/" + metric.name];
    if (!known) {
        isUnknown = true;
        continue;
    }
    historical = historical || metric.historical;
    // Quality is told when it is not good, and once more when it is good again: a metric without it is good.
    result[known.name] = {
        value: value(metric, known.datatype), time: metric.time || time,
        quality: metric.properties.Quality === undefined ? 192 : metric.properties.Quality, unit: known.unit,
    };
}

let request = null;
if (isUnknown) {
    const asked = context.get("asked") || {};
    if (Date.now() - (asked[gateway] || 0) > 10000) {
        asked[gateway] = Date.now();
        context.set("asked", asked);
        // One metric: name "Node Control/Rebirth", datatype Boolean, true.
        const metric = Buffer.concat([Buffer.from([0x0a, 20]), Buffer.from("Node Control/Rebirth"), Buffer.from([0x20, 11, 0x70, 1])]);
        request = {
            topic: "spBv1.0/" + group + "/NCMD/" + node, qos: 0, retain: false,
            payload: Buffer.concat([Buffer.from([0x12, metric.length]), metric]),
        };
    }
}
const data = Object.keys(result).length ? { topic: msg.topic, payload: { gateway, device, type, historical, metrics: result } } : null;
return [data, request];
