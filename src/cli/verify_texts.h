// What `garrison models verify` runs a model on when nobody gives it texts: short and long, several
// languages and scripts, code, numbers, questions with their answers. Neighbours often share a
// topic, so that pairs of them differ in how well they match.
#pragma once

#include <array>
#include <string_view>

namespace garrison {

inline constexpr std::array<std::string_view, 60> kVerifyTexts = {
    "cat",
    "A cat is asleep on the warm stove.",
    "Why do cats purr?",
    "Cats purr by moving the muscles of the larynx while they breathe in and out.",
    "My neighbour's dog barks at every bicycle that passes the gate.",
    "yes",
    "No, thank you.",
    "How long does it take to boil an egg?",
    "Put the egg into boiling water and wait six minutes for a soft yolk, ten for a hard one.",
    "The recipe needs 250 g of flour, two eggs, a pinch of salt and half a litre of milk.",
    "What is the capital of Mongolia?",
    "Ulaanbaatar lies on the river Tuul and is the coldest capital of the world in winter.",
    "The train to Lyon leaves at 14:52 from platform 7 and arrives two hours later.",
    "Our flight was cancelled, and the airline offered a voucher instead of a refund.",
    "Please cancel my subscription and send me the final invoice.",
    "I would like to return the shoes; they are one size too small.",
    "The parcel was delivered to the wrong address on Tuesday.",
    "Interest on the loan is 4.25 % a year, compounded monthly over 240 months.",
    "Revenue rose 12 % to $3.4 billion, while costs fell for the third quarter in a row.",
    "The central bank left its key rate unchanged and warned of slower growth.",
    "def mean(values):\n    return sum(values) / len(values)",
    "for (int i = 0; i < n; ++i) total += price[i] * count[i];",
    "SELECT name, COUNT(*) FROM orders WHERE paid = 0 GROUP BY name ORDER BY 2 DESC;",
    "Traceback (most recent call last): ZeroDivisionError: division by zero",
    "How do I undo the last commit in git without losing my changes?",
    "git reset --soft HEAD~1 moves the branch back and keeps the changes staged.",
    "{\"user\": 17, \"roles\": [\"admin\", \"editor\"], \"active\": true}",
    "https://example.com/search?q=red+shoes&page=2#results",
    "3.14159 26535 89793 23846",
    "Room 204, 2nd floor, +44 20 7946 0018, open 9-17",
    "x",
    "Wait... what?!",
    "Der Zug hat wegen einer Signalstörung vierzig Minuten Verspätung.",
    "Wo kann ich mein Fahrrad über Nacht sicher abstellen?",
    "La bibliothèque ferme à dix-huit heures, sauf le samedi.",
    "¿Dónde está la farmacia más cercana que abra los domingos?",
    "La receta lleva dos dientes de ajo, aceite de oliva y una cucharada de vinagre.",
    "Il gatto dorme sul davanzale mentre fuori piove.",
    "O barco saiu do porto antes do nascer do sol.",
    "Кошка спит на тёплой печке, а за окном идёт снег.",
    "Сколько стоит билет до Казани?",
    "猫が窓辺で眠っている。",
    "明日の会議は午後三時からです。",
    "今天的天气很好,我们去公园散步吧。",
    "고양이가 따뜻한 햇볕 아래에서 잠을 잔다.",
    "القطة نائمة قرب النافذة والمطر يهطل في الخارج.",
    "बिल्ली खिड़की के पास सो रही है।",
    "Kedi sobanın yanında uyuyor, dışarıda kar yağıyor.",
    "The patient reports a dull pain in the lower back that gets worse after sitting.",
    "Take one tablet twice a day after meals, and do not drive if you feel drowsy.",
    "Water boils at a lower temperature on a mountain because the air presses less on it.",
    "Light needs a little more than eight minutes from the sun to the earth.",
    "The tenant shall give notice in writing no later than three months before the end of the "
    "term; notice given later takes effect at the end of the following quarter.",
    "I never said that she took the money.",
    "I said that she never took the money.",
    "What a wonderful film, I cried twice and laughed all the way home!",
    "Two hours of my life that nobody will ever give back to me.",
    "The old harbour was busy long before the sun came up. Boats that had been out all night came "
    "in one after another, low in the water, and the men on the quay called out prices before "
    "the ropes were fast. By eight o'clock the fish was gone, the boards were washed, and the "
    "gulls had nothing left to quarrel about but the heads and tails in the gutter.",
    "To replace the filter, first switch the machine off at the wall and let it cool for half an "
    "hour. Open the lower flap, turn the grey ring a quarter to the left and pull the cartridge "
    "straight down; a little water will follow, so keep a cloth at hand. Rinse the new cartridge "
    "under the tap until no more carbon dust comes out, push it up until it clicks, and turn "
    "the ring back. Run two litres of water through the machine before you make the first cup. "
    "If the lamp keeps blinking, hold the reset key for five seconds. If it blinks after that, "
    "the cartridge does not sit straight: take it out, turn it by half and try again. The filter "
    "should be changed every two months, or after sixty litres, whichever comes first.",
    "In the beginning the survey counted every bird that could be seen or heard from a fixed point "
    "within ten minutes. Later the points were replaced by walks of one kilometre, because a "
    "person who stands still is found by curious birds and missed by shy ones. The two kinds of "
    "numbers cannot be compared as they are. A model that is fitted to the years in which both "
    "were made gives a factor for each species, with its error; for common birds the factor is "
    "known to within five per cent, for rare ones hardly at all. The long series in this report "
    "use the factors, and every table says where they begin. Readers who want the plain counts "
    "find them in the appendix, together with the weather, the hour and the name of the observer.",
};

}  // namespace garrison
