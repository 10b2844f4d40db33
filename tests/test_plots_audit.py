"""Plots of an audit: bars whose ends are the numbers of its record."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from invented_audits import PRICES, context, identity
from scipy import stats
from test_plots import WIDTHS, sheet, texts

from elbowroom import plots
from elbowroom.numerics import InputError
from elbowroom.numerics._standard_errors import standard_errors
from elbowroom.plots import Span
from elbowroom.records import Number


def bars(ax):
    """Left and right end of every bar, from above."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]


def intervals(ax):
    """Ends of every horizontal line at a row, by its level."""
    return {line.get_ydata()[0]: tuple(line.get_xdata()) for line in ax.get_lines() if len(set(line.get_ydata())) == 1}


class TestIdentity:
    @WIDTHS
    def test_the_bars_are_the_parts_and_add_up(self, width):
        one = identity()
        ax = plots.identity(one, ax=sheet(width).subplots())
        first, second, total, other = bars(ax)
        assert first == pytest.approx((0.0, 2.1))
        assert second == pytest.approx((2.1, 3.15))
        assert total == pytest.approx((0.0, 3.15))
        assert other == pytest.approx((3.15, 3.45))

    def test_intervals_are_those_of_paired_differences(self):
        one = identity()
        ends = intervals(plots.identity(one, ax=sheet().subplots()))
        paired = {0: (2.1, one.refined.values - one.elbo.values), -1: (3.15, one.log_p.values - one.refined.values)}
        for level, (end, difference) in paired.items():
            half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
            assert ends[level] == pytest.approx((end - half, end + half))

    def test_without_a_best_q_the_sum_stands_alone(self):
        ax = plots.identity(replace(identity(upper=None), refined=None, refined_half=None))
        assert bars(ax) == [pytest.approx((0.0, 3.15))]
        assert not {"amortisation", "approximation", "other end"} & set(texts(ax))

    def test_a_part_below_zero_is_drawn_to_its_left(self):
        ax = plots.identity(identity(amortisation=-0.5, approximation=2.0, upper=None))
        assert bars(ax)[:2] == [pytest.approx((-0.5, 0.0)), pytest.approx((-0.5, 1.5))]

    @WIDTHS
    def test_no_label_is_clipped(self, width):
        figure = sheet(width)
        plots.identity(identity(elbo=-1098.2, amortisation=512.0), ax=figure.subplots())
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert min(box.x0 for box in boxes) >= -1
        assert max(box.x1 for box in boxes) <= width + 1

    def test_what_is_not_finite_is_named_or_refused(self):
        lost = replace(identity(upper=None), log_p=replace(identity().log_p, values=np.full(50, -np.inf)))
        ax = plots.identity(lost)
        assert bars(ax) == [pytest.approx((0.0, 2.1))]
        assert texts(ax).count("not available") == 2
        with pytest.raises(InputError, match="No row has ends"):
            plots.identity(replace(lost, refined=None, refined_half=None))


class TestGains:
    def test_the_most_comes_first_with_student_s_interval(self):
        ax = plots.gains([PRICES[2], *PRICES[:2]], ax=sheet().subplots())
        assert [end for _, end in bars(ax)] == pytest.approx([2.5, 0.8, 0.0])
        half = standard_errors(PRICES[0].n) * 0.25
        assert intervals(ax)[0] == pytest.approx((2.5 - half, 2.5 + half))

    def test_a_gain_that_is_not_finite_is_named_last_without_a_bar(self):
        ax = plots.gains([replace(PRICES[0], remedy="lost", gain=Number(math.nan, None)), *PRICES[:2]])
        assert len(bars(ax)) == 2
        names = [text for text in texts(ax) if text in ("calibrate", "refit_prior", "lost")]
        assert names == ["calibrate", "refit_prior", "lost"]
        with pytest.raises(InputError, match="nothing to draw"):
            plots.gains([])


class TestRateParts:
    def test_information_and_prior_gap_stand_below_the_rate(self):
        ax = plots.rate_parts(context(), ax=sheet().subplots())
        assert bars(ax) == [pytest.approx(one) for one in ((0.0, 18.2), (0.0, 15.0), (0.8, 3.2))]
        (ceiling,) = [line for line in ax.get_lines() if line.is_dashed()]
        assert ceiling.get_xdata() == pytest.approx([16.2, 16.2])
        assert "0.80 to 3.20" in texts(ax)

    def test_above_the_ceiling_only_the_lower_end_informs(self):
        own = context(rate=25.0)
        own = replace(
            own,
            prior_gap=replace(own.prior_gap, high=None),
            information=replace(own.information, value=Number(16.0, 0.01)),
        )
        ax = plots.rate_parts(own, ax=sheet().subplots())
        assert bars(ax)[2] == pytest.approx((0.8, 25.0))
        assert {"≥ 0.80", "≥ 16.000 ± 0.010"} <= set(texts(ax))
        assert "at least 0.80" in ax.get_label()

    def test_ends_that_cross_by_their_errors_are_put_in_order(self):
        own = context()
        gap = replace(own.prior_gap, low=Number(0.014, 0.012), high=Number(0.0, 0.002))
        ax = plots.rate_parts(replace(own, prior_gap=gap), ax=sheet().subplots())
        assert bars(ax)[2] == pytest.approx((0.0, 0.014))
        assert {"0.0000 to 0.014", "KL(q(z) ‖ p(z)), about"} <= set(texts(ax))

    def test_what_is_missing_has_no_row(self):
        assert len(bars(plots.rate_parts(replace(context(), information=None, prior_gap=None)))) == 1


def test_the_collapse_curve_is_in_percent_of_the_units():
    (line,) = plots.collapse_curve(context().collapse, ax=sheet().subplots()).get_lines()
    assert line.get_ydata() == pytest.approx([0, 25, 25, 25, 100])
    assert line.get_label() == "KL below ε on 99 % of examples"


def test_spans_of_names_with_dollars_are_no_mathematics():
    ax = plots.spans([Span("$x_1$", 0.0, 1.0, "$1")], axis="nats")
    ax.figure.draw_without_rendering()
    assert {"$x_1$", "$1"} <= set(texts(ax))


def test_one_without_an_error_has_no_interval():
    ax = plots.gains([SimpleNamespace(remedy="exact", gain=Number(1.0, None))])
    assert not intervals(ax)
    assert "1.00" in texts(ax)
