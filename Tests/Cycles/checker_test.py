#!/usr/bin/env python3
"""The checker must find what it is there to find: each kind of damage is done to a perfect database."""
import random
import unittest

from checker import judge, last_signs
from plant import check_value

CHECKS = 3
START = 1_790_000_000_000
MS = 1_000_000


class CheckerTest(unittest.TestCase):
    def setUp(self):
        self.served = {number: (START + 50 * number + 2) * MS for number in range(1, 101)}
        self.rows = {"counter": [(START + 50 * number, number) for number in self.served]}
        for index in range(CHECKS):
            self.rows[f"check{index}"] = [(START + 50 * number, check_value(number, index)) for number in self.served]

    def verdict(self, kills=(), grace=100 * MS, since=None):
        for rows in self.rows.values():
            rows.sort()
        return judge(self.served, self.rows, list(kills), grace, CHECKS, since)

    def remove(self, number):
        for tag in self.rows:
            self.rows[tag] = [row for row in self.rows[tag] if row[0] != START + 50 * number]

    def test_a_perfect_database_is_clean(self):
        verdict = self.verdict()
        self.assertTrue(verdict.is_clean)
        self.assertEqual((verdict.served, verdict.delivered), (100, 100))

    def test_a_lost_poll_is_found(self):
        self.remove(50)
        self.assertEqual([number for number, _ in self.verdict().lost], [50])

    def test_what_was_served_just_before_a_kill_is_counted_apart(self):
        self.remove(50)
        kill = self.served[50] + 40 * MS
        verdict = self.verdict([(kill, kill + 5 * MS)])
        self.assertTrue(verdict.is_clean)
        self.assertEqual((verdict.never_committed, verdict.oldest_never_committed), (1, 40.0))

    def test_what_was_served_long_before_a_kill_is_lost(self):
        self.remove(50)
        self.assertEqual(len(self.verdict([(self.served[50] + 101 * MS, self.served[50] + 102 * MS)]).lost), 1)

    def test_the_time_of_a_kill_is_that_of_the_last_poll_before_it(self):
        served = {"a": {1: 100, 2: 200}, "b": {1: 150, 2: 400}}
        self.assertEqual(last_signs([(50, 60), (300, 310), (400, 410)], served), [(50, 60), (200, 310), (400, 410)])

    def test_what_the_next_gateway_asked_for_is_lost(self):
        self.remove(50)
        self.assertEqual(len(self.verdict([(self.served[50] - 2, self.served[50] - 1)]).lost), 1)

    def test_what_was_served_to_a_dead_gateway_is_counted_apart(self):
        self.remove(50)
        verdict = self.verdict([(self.served[50] - 1, self.served[50] + 1)])
        self.assertEqual((verdict.is_clean, verdict.never_committed), (True, 1))

    def test_a_duplicate_is_found(self):
        self.rows["counter"].append((START + 50 * 7, 7))
        self.assertEqual(len(self.verdict().duplicated), 1)
        self.rows["counter"].remove((START + 50 * 7, 7))
        self.rows["check1"].append((START + 50 * 7, check_value(7, 1)))
        self.assertEqual(len(self.verdict().duplicated), 1)

    def test_a_duplicate_at_another_time_is_found(self):
        self.rows["counter"].append((START + 50 * 7 + 3, 7))
        self.assertEqual(len(self.verdict().duplicated), 1)

    def test_swapped_polls_are_found(self):
        counter = self.rows["counter"]
        counter[10], counter[11] = (counter[10][0], counter[11][1]), (counter[11][0], counter[10][1])
        self.assertEqual(len(self.verdict().reordered), 1)

    def test_an_old_value_with_a_new_time_is_found(self):
        self.rows["counter"][99] = (START + 50 * 100 + 60, 100)
        self.assertEqual(len(self.verdict().misdated), 1)

    def test_a_value_of_another_poll_is_found(self):
        self.rows["check2"][20] = (self.rows["check2"][20][0], check_value(20, 2))
        self.assertEqual(len(self.verdict().wrong), 1)

    def test_a_missing_value_is_found(self):
        del self.rows["check0"][random.randrange(100)]
        self.assertEqual(len(self.verdict().wrong), 1)

    def test_what_was_never_served_is_found(self):
        self.rows["counter"].append((START + 50 * 101, 101))
        self.assertEqual(len(self.verdict().invented), 1)

    def test_only_later_polls_are_judged(self):
        self.remove(50)
        self.assertTrue(self.verdict(since=50).is_clean)
        self.assertFalse(self.verdict(since=49).is_clean)


if __name__ == "__main__":
    unittest.main()
