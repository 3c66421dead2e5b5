//! A cron expression as bit masks, and arithmetic on a clock without a zone: the next match, the
//! last match, and how many there are. It parses nothing and knows no daylight saving.
//!
//! Local time is an `i64` of seconds since 1970-01-01T00:00:00 on that clock; a day is its quotient
//! by 86,400. The day arithmetic is Howard Hinnant's ("chrono-Compatible Low-Level Date
//! Algorithms").

pub(super) const DAY: i64 = 86_400;
pub(super) const ALL_HOURS: u32 = 0xff_ffff;
pub(super) const ALL_MONTHS: u16 = 0b1_1111_1111_1110;

/// The fields; bit `n` stands for the value `n`. Small, as there may be a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub seconds: u64,
    pub minutes: u64,
    pub hours: u32,
    /// Days of the month, bits 1 to 31.
    pub days: u32,
    /// `15W`: the working day nearest to the day, within its month.
    pub near_days: u32,
    /// Bits 1 to 12.
    pub months: u16,
    /// Bit 0 is Sunday.
    pub weekdays: u8,
    /// `5#2`: weekdays that count in their first, second .. fifth week of the month only.
    pub nth_weekdays: [u8; 5],
    /// `5L`: weekdays that count the last time in the month only.
    pub last_weekdays: u8,
    /// `L`: the last day of the month.
    pub last_day: bool,
    /// `LW`: the last Monday to Friday of the month.
    pub last_workday: bool,
    /// The day-of-month field is `*`.
    pub any_day: bool,
    /// The day-of-week field is `*`.
    pub any_weekday: bool,
    /// The minute and hour fields both lack a leading `*` (semantics 7).
    pub fixed_time: bool,
}

impl Pattern {
    /// The first match in `from..=upto`.
    pub fn next(&self, from: i64, upto: i64) -> Option<i64> {
        if from > upto {
            return None;
        }
        let (today, last_day) = (from.div_euclid(DAY), upto.div_euclid(DAY));
        let mut day = self.next_day(today, last_day)?;
        let time = if day > today {
            self.first_time()
        } else if let Some(time) = self.time_from(small(from.rem_euclid(DAY))) {
            time
        } else {
            day = self.next_day(today + 1, last_day)?;
            self.first_time()
        };
        Some(day * DAY + i64::from(time)).filter(|&t| t <= upto)
    }

    /// The last match in `from..=upto`.
    pub fn last(&self, from: i64, upto: i64) -> Option<i64> {
        if from > upto {
            return None;
        }
        let (first_day, today) = (from.div_euclid(DAY), upto.div_euclid(DAY));
        let mut day = self.previous_day(today, first_day)?;
        let time = if day < today {
            self.time_before(86_400)?
        } else if let Some(time) = self.time_before(small(upto.rem_euclid(DAY)) + 1) {
            time
        } else {
            day = self.previous_day(today - 1, first_day)?;
            self.time_before(86_400)?
        };
        Some(day * DAY + i64::from(time)).filter(|&t| t >= from)
    }

    /// How many matches lie in `from..=upto`: the matching days times the times of a day, and the
    /// two ends apart.
    pub fn count(&self, from: i64, upto: i64) -> u64 {
        if from > upto {
            return 0;
        }
        let (first, last) = (from.div_euclid(DAY), upto.div_euclid(DAY));
        let before = self.times_before(small(from.rem_euclid(DAY)));
        let through = self.times_before(small(upto.rem_euclid(DAY)) + 1);
        let on = |day| self.count_days(day, day);
        if first == last {
            return on(first) * (through - before);
        }
        let whole = self.times_before(86_400);
        on(first) * (whole - before) + self.count_days(first + 1, last - 1) * whole + on(last) * through
    }

    /// Whether any day can match. Every month of every length that starts on any weekday occurs in
    /// the years to 9999, so at most 91 months answer it, without a search through the years.
    pub fn can_match(&self) -> bool {
        (1..=12).filter(|m| self.months >> m & 1 == 1).any(|m| {
            let lengths = if m == 2 { 28..=29 } else { month_length(1970, m)..=month_length(1970, m) };
            lengths.into_iter().any(|len| (0..7).any(|first| self.days_of(len, first) != 0))
        })
    }

    fn every_day(&self) -> bool {
        self.any_day && self.any_weekday && self.months == ALL_MONTHS
    }

    /// The first matching day in `from..=upto`.
    fn next_day(&self, from: i64, upto: i64) -> Option<i64> {
        if self.every_day() {
            return Some(from).filter(|&d| d <= upto);
        }
        let (mut month, day) = Month::of(from);
        let mut days = self.days_in(month) & (u32::MAX << day);
        while days == 0 {
            month = self.next_month(month);
            if month.first > upto {
                return None;
            }
            days = self.days_in(month);
        }
        Some(month.first + i64::from(days.trailing_zeros()) - 1).filter(|&d| d <= upto)
    }

    /// The last matching day in `downto..=from`.
    fn previous_day(&self, from: i64, downto: i64) -> Option<i64> {
        if self.every_day() {
            return Some(from).filter(|&d| d >= downto);
        }
        let (mut month, day) = Month::of(from);
        let mut days = self.days_in(month) & (u32::MAX >> (31 - day));
        while days == 0 {
            if month.first <= downto {
                return None;
            }
            month = self.previous_month(month);
            days = self.days_in(month);
        }
        Some(month.first + i64::from(days.ilog2()) - 1).filter(|&d| d >= downto)
    }

    fn count_days(&self, from: i64, upto: i64) -> u64 {
        if from > upto {
            return 0;
        }
        if self.every_day() {
            return u64::try_from(upto - from + 1).unwrap_or(0);
        }
        let (mut month, day) = Month::of(from);
        let mut days = self.days_in(month) & (u32::MAX << day);
        let mut n = 0;
        while month.first + i64::from(month.len) <= upto {
            n += u64::from(days.count_ones());
            month = self.next_month(month);
            days = self.days_in(month);
        }
        if month.first > upto {
            return n;
        }
        n + u64::from((days & (u32::MAX >> (31 - 1 - small(upto - month.first)))).count_ones())
    }

    fn next_month(&self, month: Month) -> Month {
        let later = u32::from(self.months) & (u32::MAX << (month.month + 1));
        if later != 0 {
            Month::new(month.year, later.trailing_zeros())
        } else {
            Month::new(month.year + 1, u32::from(self.months).trailing_zeros())
        }
    }

    fn previous_month(&self, month: Month) -> Month {
        let earlier = u32::from(self.months) & !(u32::MAX << month.month);
        if earlier != 0 {
            Month::new(month.year, earlier.ilog2())
        } else {
            Month::new(month.year - 1, u32::from(self.months).ilog2())
        }
    }

    /// The matching days of a month, as bits 1 to 31.
    fn days_in(&self, month: Month) -> u32 {
        if self.months >> month.month & 1 == 0 {
            return 0;
        }
        self.days_of(month.len, small((month.first + 4).rem_euclid(7)))
    }

    /// The matching days of any month of `len` days whose first day has the weekday `first`. When
    /// both day fields are restricted, either matches (contract, "Job": the Vixie rule).
    fn days_of(&self, len: u32, first: u32) -> u32 {
        let all = (u32::MAX >> (32 - len)) << 1;
        let days = match (self.any_day, self.any_weekday) {
            (true, true) => all,
            (true, false) => self.by_weekday(len, first),
            (false, true) => self.by_number(len, first),
            (false, false) => self.by_number(len, first) | self.by_weekday(len, first),
        };
        days & all
    }

    fn by_number(&self, len: u32, first: u32) -> u32 {
        let mut days = self.days;
        if self.last_day {
            days |= 1 << len;
        }
        if self.last_workday {
            days |= 1 << nearest_workday(len, len, first);
        }
        let mut near = self.near_days & ((u32::MAX >> (32 - len)) << 1);
        while near != 0 {
            days |= 1 << nearest_workday(near.trailing_zeros(), len, first);
            near &= near - 1;
        }
        days
    }

    fn by_weekday(&self, len: u32, first: u32) -> u32 {
        // Bit 0 of a week is the weekday of the month's first day.
        let week = |set: u8| (u32::from(set) >> first | u32::from(set) << (7 - first)) & 0x7f;
        let weeks = |set: u8| (0..5).fold(0, |days, n| days | (week(set) << (7 * n)) << 1);
        let nth =
            (0u32..).zip(self.nth_weekdays).fold(0, |days, (n, set)| days | (week(set) << (7 * n)) << 1);
        weeks(self.weekdays) | nth | (weeks(self.last_weekdays) & (u32::MAX << (len - 6)))
    }

    fn first_time(&self) -> u32 {
        self.hours.trailing_zeros() * 3600
            + self.minutes.trailing_zeros() * 60
            + self.seconds.trailing_zeros()
    }

    /// The first time of day at or after `time`, in seconds of the day.
    fn time_from(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(s) = bit_from(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + s);
            }
            if let Some(m) = bit_from(self.minutes, minute + 1) {
                return Some(hour * 3600 + m * 60 + self.seconds.trailing_zeros());
            }
        }
        let h = bit_from(u64::from(self.hours), hour + 1)?;
        Some(h * 3600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros())
    }

    /// The last time of day before `time`, in seconds of the day (at most 86,400).
    fn time_before(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let last = |mask: u64| bit_before(mask, 60);
        if hour < 24 && self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(s) = bit_before(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + s);
            }
            if let Some(m) = bit_before(self.minutes, minute) {
                return Some(hour * 3600 + m * 60 + last(self.seconds)?);
            }
        }
        let h = bit_before(u64::from(self.hours), hour)?;
        Some(h * 3600 + last(self.minutes)? * 60 + last(self.seconds)?)
    }

    /// How many times of a day lie before `time`, in seconds of the day (at most 86,400).
    pub fn times_before(&self, time: u32) -> u64 {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let below = |mask: u64, n: u32| u64::from((mask & ((1 << n) - 1)).count_ones());
        let has = |mask: u64, n: u32| mask >> n & 1;
        let (hours, in_minute) = (u64::from(self.hours), below(self.seconds, 60));
        let in_hour = below(self.minutes, 60) * in_minute;
        below(hours, hour) * in_hour
            + has(hours, hour)
                * (below(self.minutes, minute) * in_minute
                    + has(self.minutes, minute) * below(self.seconds, second))
    }
}

/// The lowest set bit at or above `bit` (at most 63).
fn bit_from(mask: u64, bit: u32) -> Option<u32> {
    let rest = mask >> bit;
    (rest != 0).then(|| bit + rest.trailing_zeros())
}

/// The highest set bit below `bit` (at most 63).
fn bit_before(mask: u64, bit: u32) -> Option<u32> {
    (mask & ((1 << bit) - 1)).checked_ilog2()
}

/// The Monday to Friday nearest to `day`, without leaving the month (Quartz's `W`): Saturday goes
/// back a day and Sunday on a day, unless that is another month.
fn nearest_workday(day: u32, len: u32, first: u32) -> u32 {
    match (first + day - 1) % 7 {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < len => day + 1,
        0 => day - 2,
        _ => day,
    }
}

#[derive(Clone, Copy)]
struct Month {
    year: i64,
    month: u32,
    /// The number of its first day.
    first: i64,
    len: u32,
}

impl Month {
    fn new(year: i64, month: u32) -> Self {
        // Years begin with March, so that the leap day is the last.
        let y = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (y.div_euclid(400), y.rem_euclid(400));
        let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self { year, month, first: era * 146_097 + day_of_era - 719_468, len: month_length(year, month) }
    }

    /// The month of a day, and the day's number in it.
    fn of(day: i64) -> (Self, u32) {
        let z = day + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let number = small(day_of_year - (153 * from_march + 2) / 5) + 1;
        let month = small(if from_march < 10 { from_march + 3 } else { from_march - 9 });
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (Self { year, month, first: day + 1 - i64::from(number), len: month_length(year, month) }, number)
    }
}

fn month_length(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A number that is known to be small and not negative: a second of the day, a day of the month.
fn small(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}
