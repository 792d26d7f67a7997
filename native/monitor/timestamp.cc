#include "native/monitor/timestamp.h"

#include "native/monitor/clock.h"

namespace coracle {
namespace {

void put_digits(char* text, uint64_t value, int digits) {
  for (int place = digits - 1; place >= 0; --place) {
    text[place] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// Days since 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so
// that the leap day is the last of its year, and the 400-year cycle has 146097 days.
void put_date(char* text, uint64_t days) {
  const uint64_t shifted = days + 719468;  // days from 0000-03-01 to 1970-01-01
  const uint64_t era = shifted / 146097;
  const uint64_t day_of_era = shifted % 146097;
  const uint64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t march_month = (5 * day_of_year + 2) / 153;
  const uint64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  const uint64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  put_digits(text, year, 4);
  text[4] = '-';
  put_digits(text + 5, month, 2);
  text[7] = '-';
  put_digits(text + 8, day, 2);
}

}  // namespace

const char* Timestamp::format(uint64_t ns) {
  const uint64_t second = ns / kNanosPerSecond;
  if (second != second_) {
    second_ = second;
    const uint64_t of_day = second % 86400;
    put_date(text_, second / 86400);
    text_[10] = 'T';
    put_digits(text_ + 11, of_day / 3600, 2);
    text_[13] = ':';
    put_digits(text_ + 14, of_day / 60 % 60, 2);
    text_[16] = ':';
    put_digits(text_ + 17, of_day % 60, 2);
    text_[19] = '.';
    text_[29] = 'Z';
  }
  put_digits(text_ + 20, ns % kNanosPerSecond, 9);
  return text_;
}

}  // namespace coracle
