#!/usr/bin/env python3
"""An independent answer to what buckets of samples amount to, in exact fractions.

    bucket_oracle.py QUESTIONS.json > answers.json

The file is a list of questions, the output one of answers on one line. Question: {"samples": [[time, value or null, "good" | "uncertain" | "bad"], ...] in log order, "from", "to", "width", "origin", "holdMax" (or none),
"end"}, times in nanoseconds. Answer: for each bucket that has anything {"start", "count", "good", "uncertain", "bad", "min", "max", "minTime",
"maxTime", "first", "last", "mean", "stddev", "twmean", "durationGood"}. The clock of the samples never goes back here.
"""
import json
import statistics
import sys
from fractions import Fraction


def answer_to(question):
    begin, end, width, origin = (question[key] for key in ("from", "to", "width", "origin"))
    samples = question["samples"]
    inside = {}
    held = {}

    def start_of(time):
        return (time - origin) // width * width + origin

    for time, value, quality in samples:
        if begin <= time < end:
            inside.setdefault(start_of(time), []).append((time, value, quality))
    following = [sample[0] for sample in samples[1:]] + [question["end"]]
    for (time, value, quality), until in zip(samples, following):
        if quality == "bad":
            continue
        if "holdMax" in question:
            until = min(until, time + question["holdMax"])
        low, high = max(time, begin), min(until, end)
        while low < high:
            part = min(high, start_of(low) + width)
            held.setdefault(start_of(low), []).append((value, part - low, quality))
            low = part
    answer = []
    for start in sorted(set(inside) | set(held)):
        rows = inside.get(start, [])
        values = [(time, value) for time, value, quality in rows if quality != "bad"]
        exact = [Fraction(value) for _, value in values]
        spans = held.get(start, [])
        total = sum(span for _, span, _ in spans)
        bucket = {"start": start, "count": len(values)}
        for quality in ("good", "uncertain", "bad"):
            bucket[quality] = sum(1 for row in rows if row[2] == quality)
        if values:
            low, high = min(value for _, value in values), max(value for _, value in values)
            bucket.update(
                min=low, max=high, first=values[0][1], last=values[-1][1], mean=float(sum(exact) / len(exact)),
                minTime=next(time for time, value in values if value == low), maxTime=next(time for time, value in values if value == high))
        if len(values) > 1:
            bucket["stddev"] = float(statistics.stdev(exact))
        if total:
            bucket["twmean"] = float(sum(Fraction(value) * span for value, span, _ in spans) / total)
        bucket["durationGood"] = sum(span for _, span, quality in spans if quality == "good")
        answer.append(bucket)
    return answer


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps([answer_to(question) for question in json.load(file)]))
